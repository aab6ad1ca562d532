"""The unit of work: everything a use case may read and write within one transaction, facts included.

Moves are compare-and-set on `version`: who read an older row gets `Conflict`, and nothing of the transaction remains.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from countersign.domain.facts import Fact
from countersign.domain.refusals import Conflict
from countersign.store import log
from countersign.store.log import LogHead
from countersign.store.unit.automatic_part import AutomaticPart
from countersign.store.unit.campaigns_part import CampaignsPart
from countersign.store.unit.control_part import ControlPart, Remembered, Stop
from countersign.store.unit.counters_part import CountersPart
from countersign.store.unit.due_part import DuePart
from countersign.store.unit.emergencies_part import EmergenciesPart
from countersign.store.unit.findings_part import FindingsPart, RaisedFinding
from countersign.store.unit.followers_part import Cursor, FollowersPart
from countersign.store.unit.grants_part import GrantsPart
from countersign.store.unit.leases_part import LeasesPart
from countersign.store.unit.log_part import LogPart
from countersign.store.unit.orders_part import OrdersPart, OrderState, Posted
from countersign.store.unit.passkeys_part import PageTicket, PasskeysPart
from countersign.store.unit.proposals_part import ProposalsPart
from countersign.store.unit.records_part import RecordsPart
from countersign.store.unit.requests_part import RequestsPart
from countersign.store.unit.retention_part import RetentionPart
from countersign.store.unit.rules_part import Rulebook, RulesPart
from countersign.store.unit.signin_part import SignInPart
from countersign.store.unit.witnesses_part import Cosigned, WitnessesPart

__all__ = [
    "Cosigned",
    "Cursor",
    "OrderState",
    "PageTicket",
    "Posted",
    "RaisedFinding",
    "Remembered",
    "Rulebook",
    "Stop",
    "Tx",
]


class Tx(
    LogPart,
    RulesPart,
    ProposalsPart,
    RequestsPart,
    AutomaticPart,
    CountersPart,
    GrantsPart,
    LeasesPart,
    DuePart,
    ControlPart,
    EmergenciesPart,
    FollowersPart,
    FindingsPart,
    RecordsPart,
    SignInPart,
    WitnessesPart,
    PasskeysPart,
    CampaignsPart,
    OrdersPart,
    RetentionPart,
):
    """One transaction. `now` is fixed for all of it; facts are written at its end, in order, or not at all.

    Attributes:
        now: the time of the transaction: the database's clock on PostgreSQL, and never behind the log's newest entry.
        clock_behind: how far the clock was behind that entry; a clock that ran back.
    """

    def __init__(self, connection: sa.Connection, *, clock: datetime) -> None:
        """Bind to an open transaction whose clock says `clock`."""
        self._connection = connection
        self._facts: list[Fact] = []
        head = log.read_head(connection)
        self._head: LogHead = head
        self.now = clock if head.at is None else max(clock, head.at)
        self.clock_behind = self.now - clock

    def record(self, *facts: Fact) -> None:
        """Record facts; they reach the log when the transaction commits."""
        self._facts += facts

    def flush(self) -> LogHead | None:
        """Write the recorded facts and the new head; the store calls it as the last act of the transaction."""
        if not self._facts:
            return None
        facts, self._facts = self._facts, []
        head = log.append(self._connection, facts, now=self.now, head=self._head)
        if head is None:  # somebody else was quicker: wait for the head, and hold it
            held = log.read_head(self._connection, lock=True)
            head = log.append(self._connection, facts, now=self.now, head=held)
        if head is None:
            raise Conflict("the log was moved behind its own lock; nothing was done", hint="try again")
        # Whoever moved the head is the next in the log: from here on nobody else can commit what would change the rules.
        self.demand_pinned_rules()
        self._head = head
        return head
