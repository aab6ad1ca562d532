"""Detectors: what no single fact shows, as one pass over the facts. `check` finds what is wrong with single things.

The same pass runs as the log grows and again whenever somebody verifies it: what was found is a fact, and must be found again.
Thresholds are those of the rules in force at the entry (`[trust.thresholds]`), which stand in the log as well.

| code | severity | named entry | rule (defaults in `Thresholds`) |
|---|---|---|---|
| `self-approval-attempt` | high | the refusal | somebody tried to sign what was his own, by whatever account |
| `reporting-line` | high | the grant | an approver reports to who asked, as far as the directory knows |
| `outside-credential` | high | the anomaly | a provider holds or issued what the log does not explain |
| `limit-breach` | high | draw or issue | longer than was approved, or beyond the backstop |
| `late-revocation` | high, medium | death, or what came after | not dead 60 s after it should be; from 300 s on it is grave |
| `owners-untold` | high | the notice | owners who were skipped in an emergency were not told |
| `review-owed` | high | the reminder | nobody has looked at an emergency in time |
| `policy-drift` | high | the grant | granted by a rule that was not in force |
| `clock-step` | high | the fact, the entry | the clock disagreed, or an entry is earlier than the one before |
| `log-gap` | high | the next entry | an index is missing, or nothing was written for 30 minutes although the self-check runs |
| `order-refused` | medium, high | the refusal | a draw order proved nobody; from the 3rd in an hour on it is grave |
| `self-check-failed` | high | the check | the log's own verification failed |
| `reciprocal-pair` | medium | the grant that completes it | approvals each way, 3 in 30 days and over half of each one's |
| `hasty-approver` | medium | the last review | the median of 20 decisions in a row is 10 s after the first look or the request |
| `rubber-stamp` | medium | the last review | over 95 % of 50 decisions in a row are approvals without a comment |
| `tired-approver` | medium | the review | more than 20 decisions within an hour |
| `emergency-overuse` | medium | the break-glass | more than 2 by one person in 30 days, drills not counted |
| `emergency-share` | medium | the break-glass | over 5 % of 40 or more grants in 30 days are emergencies |
| `frequent-grants` | low | the grant | 5 grants of one entitlement to one person in 24 hours |
| `creep` | low | the day's first | twice as many entitlements in 90 days as the median of all who had any, and at least 5 |
| `dormant-entitlement`, `dormant-person` | low | the day's first | unused for 90 days |
| `configuration-changed` | low | the start | a broker came up with other settings than the one before |

A habit is told of when it shows, and again when the window has passed and it still does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.access import Access
from countersign.auditlog.meaning.alarms import Alarms
from countersign.auditlog.meaning.findings import DEFAULT, Finding, Thresholds
from countersign.auditlog.meaning.habits import Habits
from countersign.auditlog.meaning.ledger import MALFORMED, moment
from countersign.auditlog.meaning.notebook import Notebook
from countersign.auditlog.meaning.rulebooks import RULE_TYPES, Rulebooks

VERSION = 2
"""Of what the detectors find; raised whenever the same log would give other findings."""
ALSO_CHECKED = frozenset({"anomaly", "late", "clock-step", "emergency-unreviewed"})
"""Codes of `check` for what a detector tells of too, under a name of its own."""
MINUTE, DAY = 16, 10
"""So many characters of a spelled time name its minute and its day."""

Judge = Callable[[int, Fact, datetime], None]


class Detectors:
    """Watches facts as they come. Memory grows with people, with what is open and with the window, not with the log.

    Args:
        thresholds: what is too much, where the rules say nothing else.
        rules: the rules as somebody else puts them together from the same facts, each before it is fed here.
    """

    def __init__(self, thresholds: Thresholds = DEFAULT, *, rules: Rulebooks | None = None) -> None:
        self._notebook = notebook = Notebook(given=thresholds, limits=thresholds)
        if rules is not None:
            notebook.rules, notebook.is_told = rules, True
        self._access = access = Access(notebook=notebook)
        self._alarms = alarms = Alarms(notebook=notebook)
        habits = Habits(notebook=notebook)
        self._all: list[Finding] = []
        self._spelled = self._minute = self._day = ""
        self._at = datetime.min.replace(tzinfo=UTC)
        self._judges: dict[str, tuple[Judge, ...]] = {
            "request.submitted": (habits.submitted, access.submitted, alarms.submitted),
            "request.seen": (habits.seen,),
            "review.recorded": (habits.reviewed,),
            "request.decided": (habits.decided, access.decided, alarms.decided),
            "grant.opened": (habits.granted, access.granted, alarms.granted),
            "grant.closed": (access.closed,),
            "lease.prepared": (access.prepared,),
            "lease.issued": (access.issued,),
            "lease.end-asked": (access.end_asked,),
            "lease.dead": (access.dead,),
            "act.refused": (alarms.refused,),
            "order.refused": (alarms.ordered,),
            "provider.anomaly": (alarms.strange,),
            "break-glass.opened": (alarms.opened,),
            "break-glass.unreviewed": (alarms.unreviewed,),
            "notice.failed": (alarms.untold,),
            "notice.unaddressed": (alarms.untold,),
            "clock.stepped": (alarms.stepped,),
            "broker.started": (alarms.started,),
            "log.checked": (alarms.checked,),
            **dict.fromkeys(RULE_TYPES, (self._learned,)),
        }

    def feed(self, index: int, fact: Fact) -> Sequence[Finding]:
        """Take the next fact and return what it shows. What does not say what facts of its type say is left to `check`."""
        try:  # noqa: SIM105 - costs nothing, and `suppress` a second in a million entries
            self._take(index, fact)
        except MALFORMED:
            pass
        if not self._notebook.found:
            return ()
        found, self._notebook.found = self._notebook.found, []
        self._all += found
        return found

    def finish(self) -> list[Finding]:
        """Return all that was found, in the order of the entries."""
        return list(self._all)

    def _take(self, index: int, fact: Fact) -> None:
        kind, spelled = fact["type"], fact["at"]
        judges = self._judges.get(kind, ())
        is_new_minute = spelled[:MINUTE] != self._minute
        if not (judges or is_new_minute or index != self._alarms.expected):
            self._alarms.expected = index + 1
            return
        if spelled != self._spelled:
            self._at, self._spelled = moment(spelled), spelled
        at = self._at
        self._alarms.follow(index, at)
        if is_new_minute:
            self._minute = spelled[:MINUTE]
            self._access.minute(index, at)
            if spelled[:DAY] != self._day:
                self._day = spelled[:DAY]
                self._access.day(index, at)
        for judge in judges:
            judge(index, fact, at)

    def _learned(self, index: int, fact: Fact, at: datetime) -> None:
        self._notebook.learn(index, fact)
        self._access.adopted(at)
