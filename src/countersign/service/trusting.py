"""Trust settings against the process that runs: a mismatch stops issuing, and never ending."""

from __future__ import annotations

import structlog

from countersign.domain.configured import Configured
from countersign.domain.facts import BROKER
from countersign.domain.refusals import Stopped
from countersign.domain.trust import Trust
from countersign.domain.trust_facts import TrustMismatched
from countersign.service.office import Office
from countersign.store import Tx

logger = structlog.get_logger(__name__)


def refuse_if_mistrusted(configured: Configured, trust: Trust) -> None:
    """Refuse to issue while a setting of this process is not the one that was countersigned.

    Raises:
        Stopped: naming the setting.
    """
    for found in configured.against(trust):
        raise Stopped(
            f"{found.setting} is {found.running} here, and the rules say {found.countersigned}",
            rule="what decides trust is countersigned; a mismatch stops issuing, and not ending",
            hint="start the broker with the countersigned setting, or have two authors change [trust]",
        )


def record_mismatches(office: Office, tx: Tx) -> None:
    """Record at a start that this process is not what the rules decide, if it is not."""
    found = list(office.configured.against(office.rules.current(tx).catalog.trust))
    if found:
        for each in found:
            logger.error("nothing is issued: a setting is not the countersigned one", setting=each.setting)
        tx.record(
            TrustMismatched(actor=f"{BROKER}/start", subject="broker", settings=tuple(each.setting for each in found))
        )
