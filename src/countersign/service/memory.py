"""What the issuing half remembers of the log outside of the database: whoever sets the database back cannot make it forget.

Before each draw the log must be what it was then, and grown: not one entry fewer, and none changed. A removal of a key that
somebody cuts off the end of the log does not come undone by it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import structlog

from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.domain.refusals import LogRewound
from countersign.store import Store

logger = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class LogMemory:
    """The newest head of the log that this process or one before it saw.

    Attributes:
        path: the file that keeps it, outside of the database; None remembers for the life of the process only.
    """

    path: Path | None = None
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
                added = [leaf_hash(entry.leaf) for entry in store.entries(start=known.size, end=head.size)]
                grown = known.extend(added)
            if (grown.size, grown.root()) != (head.size, head.root):
                raise self._rewound(f"the log of {head.size} entries is not the one that was seen growing")
            if known is None or grown.size != known.size:
                self._keep(grown)
            self._known = grown

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
        return Frontier.decode(bytes.fromhex(json.loads(self.path.read_text(encoding="ascii"))["frontier"]))

    def _keep(self, frontier: Frontier) -> None:
        if self.path is None:
            return
        fresh = self.path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump({"size": frontier.size, "frontier": frontier.encode().hex()}, file)
        fresh.replace(self.path)
