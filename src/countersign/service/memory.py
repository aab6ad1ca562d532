"""What the issuing half remembers of the log outside of the database: whoever sets the database back cannot make it forget.

Before each draw the log must be what it was then, and grown: not one entry fewer, and none changed. A removal of a key that
somebody cuts off the end of the log does not come undone by it, nor does one that is hidden in it: what was seen is remembered.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import structlog

from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.domain.refusals import LogRewound
from countersign.service.rules import Rules
from countersign.store import Store

logger = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class LogMemory:
    """The newest head of the log that this process or one before it saw.

    Attributes:
        path: the file that keeps it, outside of the database; None remembers for the life of the process only.
        gone: ids of the keys that were removed, and of the persons who were disabled, since it began to remember.
    """

    path: Path | None = None
    gone: frozenset[str] = frozenset()
    _known: Frontier | None = None
    _lock: Lock = field(default_factory=Lock, repr=False)

    def demand_growth(self, store: Store) -> None:
        """Demand that the log has only grown since it was last seen, and remember it as it is now.

        Raises:
            LogRewound: it is shorter, or has another past.
        """
        with self._lock:
            known = self._known if self._known is not None else self._kept()
            with store.read() as tx:
                head = tx.head()
            if known is None:
                grown = head.frontier
            elif head.size < known.size:
                raise self._rewound(f"the log has {head.size} entries, and had {known.size}")
            else:
                added = [bytes(entry.leaf) for entry in store.entries(start=known.size, end=head.size)]
                grown = known.extend([leaf_hash(leaf) for leaf in added])
                self.gone |= frozenset(subject for leaf in added if (subject := _taken_away(leaf)) is not None)
            if (grown.size, grown.root()) != (head.size, head.root):
                raise self._rewound(f"the log of {head.size} entries is not the one that was seen growing")
            if known is None or grown.size != known.size:
                self._keep(grown)
            self._known = grown

    def judged(self, rules: Rules) -> Rules:
        """Return rules without the keys and persons that were taken away, should the database have forgotten it."""
        if not self.gone:
            return rules
        keys = {name: key for name, key in rules.keyring.keys.items() if name not in self.gone}
        keyring = replace(rules.keyring, keys=keys, removed=rules.keyring.removed | self.gone)
        return replace(rules, roster=rules.roster.without(self.gone), keyring=keyring)

    def _rewound(self, detail: str) -> LogRewound:
        logger.error("the log is not what it was", detail=detail)
        where = "" if self.path is None else f"; restored on purpose? an operator removes {self.path.name} and says so"
        return LogRewound(
            f"{detail}; issuing stops, ending goes on",
            rule="the log only grows",
            hint=f"tell security: somebody set the database back{where}",
        )

    def _kept(self) -> Frontier | None:
        if self.path is None or not self.path.exists():
            return None
        kept = json.loads(self.path.read_text(encoding="ascii"))
        self.gone |= frozenset(kept["gone"])
        return Frontier.decode(bytes.fromhex(kept["frontier"]))

    def _keep(self, frontier: Frontier) -> None:
        if self.path is None:
            return
        fresh = self.path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({"frontier": frontier.encode().hex(), "gone": sorted(self.gone)}, file)
        fresh.replace(self.path)


def _taken_away(leaf: bytes) -> str | None:
    """Return the key that a leaf removes or the person whom it disables, whatever the columns beside it say."""
    if not any(b'"type":"' + kind + b'"' in leaf for kind in (b"passkey.removed", b"person.disabled")):
        return None
    try:
        said = json.loads(leaf)
        return str(said["subject"]) if said["type"] in {"passkey.removed", "person.disabled"} else None
    except (ValueError, KeyError, TypeError):
        return None  # no leaf of ours; the verifier names such rows
