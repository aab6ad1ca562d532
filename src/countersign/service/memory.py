"""What the issuing half remembers of the log outside of the database: whoever sets the database back cannot make it forget.

Before each draw the log must be what it was then, and grown: not one entry fewer, and none changed. A removal of a key that
somebody cuts off the end of the log does not come undone by it, nor does one that is hidden in it: what was seen is remembered.
Draws are counted from the leaves themselves.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Lock

import structlog

from countersign.auditlog.chain import TYPES as CHAIN
from countersign.auditlog.chain import telling
from countersign.auditlog.leaf import NotALeaf, ending_of, fact_of
from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.domain.grant import Grant
from countersign.domain.passkey_facts import PasskeyRemoved
from countersign.domain.people_facts import PersonDisabled
from countersign.domain.refusals import ApprovalVoid, LogRewound, LogUnavailable, RulesForged
from countersign.domain.request import Request
from countersign.service import drawn, opened, recent
from countersign.service.drawn import DrawBook
from countersign.service.opened import EnvelopeBook
from countersign.service.recent import RecentPast
from countersign.service.rules import Rules
from countersign.store import Store, Tx

logger = structlog.get_logger(__name__)

READ_AT_ONCE = 2000
TAKES_AWAY = (PasskeyRemoved.type, PersonDisabled.type)
_TOLD = tuple(ending_of(type_) for type_ in (*TAKES_AWAY, *drawn.TYPES, *recent.TYPES, *opened.TYPES))
"""How the leaves end that matter here: of all others not even the JSON is read."""
_CHAINED = tuple(ending_of(type_) for type_ in CHAIN)
"""How the leaves end that keys and signed rules rest on."""


@dataclass(kw_only=True)
class LogMemory:
    """The newest head of the log that this process or one before it saw, and what is read on the way to it.

    Attributes:
        path: the file that keeps it, outside of the database; None remembers for the life of the process only.
        gone: ids of the keys that were removed, and of the persons who were disabled.
        recent: draw orders that were accepted and sign-ins that ended, of the last hours.
    """

    path: Path | None = None
    gone: frozenset[str] = frozenset()
    recent: RecentPast = field(default_factory=RecentPast)
    _known: Frontier | None = None
    _passed: deque[Frontier] = field(default_factory=deque)
    _draws: DrawBook = field(default_factory=DrawBook)
    _chain: bytes = b""
    _envelopes: EnvelopeBook = field(default_factory=EnvelopeBook)
    _lock: Lock = field(default_factory=Lock, repr=False)
    _waking: Lock = field(default_factory=Lock, repr=False)
    _writing: Lock = field(default_factory=Lock, repr=False)
    _kept_size: int = 0
    _distrusted: str | None = None

    def wake(self, store: Store) -> None:
        """Read what there is if nothing was read yet: all of the log the first time, and what open grants need afterwards.

        Raises:
            LogRewound: as `demand_growth`.
        """
        # One after another: what this view shows may be older than what another thread, awake sooner, has written since.
        with self._waking:
            if self._known is None:
                with store.read() as tx:
                    self.demand_growth(tx)

    def demand_growth(self, tx: Tx) -> None:
        """Demand that the log has only grown since it was last seen, and read what it grew by.

        Raises:
            LogRewound: it is shorter, or has another past.
        """
        with self._lock:
            if self._distrusted is not None:
                raise self._rewound(self._distrusted)
            known = self._known if self._known is not None else self._begin(tx)
            head = tx.head()
            if head.size < known.size:
                raise self._rewound(f"the log has {head.size} entries, and had {known.size}")
            self._known = self._grown(tx, known, size=head.size, root=head.root)

    def keep(self) -> None:
        """Write into the file what is known by now, unless another thread is about to.

        Raises:
            LogUnavailable: it cannot be written.
        """
        while self._known is not None and self._known.size != self._kept_size and self._distrusted is None:
            if not self._writing.acquire(blocking=False):
                return  # whoever writes looks again when he is done
            try:
                self._write()
            except OSError as error:
                raise LogUnavailable(
                    "what is remembered of the log cannot be written, so nothing is issued",
                    hint="the operator is told: is the broker's state folder full?",
                ) from error
            finally:
                self._writing.release()

    def judged(self, rules: Rules) -> Rules:
        """Return rules without the keys and persons that were taken away, should the database have forgotten it."""
        if not self.gone:
            return rules
        keys = {name: key for name, key in rules.keyring.keys.items() if name not in self.gone}
        keyring = replace(rules.keyring, keys=keys, removed=rules.keyring.removed | self.gone)
        return replace(rules, roster=rules.roster.without(self.gone), keyring=keyring)

    def is_told(self, rules: Rules) -> bool:
        """Say whether keys and signed rules rest on all of the log's leaves about them, each in its place, and on no others."""
        with self._lock:
            return rules.told in {None, self._chain}

    def demand_told(self, rules: Rules) -> None:
        """Demand that of what keys and signed rules rest on nothing was hidden, moved or put in.

        Raises:
            RulesForged: something was; or was written in this very moment.
        """
        if not self.is_told(rules):
            raise RulesForged(
                "what keys and rules rest on in the database is not what the log said of them",
                rule="no rulebook and no removal is hidden",
                hint="draw again; if it stays, tell security: somebody wrote into the database",
            )

    def as_logged(self, grant: Grant) -> Grant:
        """Return a grant with its draws and its end as the log says them, whatever its columns say."""
        with self._lock:
            return self._draws.as_logged(grant)

    def demand_opened(self, grant: Grant) -> None:
        """Demand that a grant is an open one of the log.

        Raises:
            ApprovalVoid: it is a row that somebody wrote or changed.
        """
        with self._lock:
            self._draws.demand_opened(grant)

    def demand_envelope_opened(self, tx: Tx, request: Request) -> None:
        """Demand that an envelope which a request opened, if it did, is not revoked and was not opened too often by the log.

        Raises:
            ApprovalVoid: a row about it was written, changed or removed.
        """
        if request.emergency is None or request.emergency.envelope is None:
            return
        envelope = tx.envelope(request.emergency.envelope)
        if envelope is None:
            raise ApprovalVoid(f"the envelope of {request.id} is gone", rule="what was signed is what is issued")
        with self._lock:
            self._envelopes.demand(envelope, request=request.id)

    def _begin(self, tx: Tx) -> Frontier:
        """Return where an earlier process left off, having read again what the grants that were open then need."""
        kept = None if self.path is None or not self.path.exists() else json.loads(self.path.read_text("ascii"))
        self._draws, self._passed, self._chain = DrawBook(), deque([Frontier()]), b""
        if kept is None:
            return Frontier()
        known, anchor = (Frontier.decode(bytes.fromhex(kept[name])) for name in ("frontier", "anchor"))
        self.gone |= frozenset(kept["gone"])
        self.recent.resume(kept.get("recent", {}))
        whole = not {"envelopes", "chain"} <= kept.keys()
        if whole:  # kept by one who remembered less: all of the log is read once more
            anchor = Frontier()
        else:
            self._envelopes.resume(**kept["envelopes"])
        self._passed, self._kept_size = deque([anchor]), known.size
        self._grown(tx, anchor, size=known.size, root=known.root())
        if not whole:
            self._chain = bytes.fromhex(kept["chain"])
        return known

    def _grown(self, tx: Tx, known: Frontier, *, size: int, root: bytes) -> Frontier:
        """Return what grew from one head of the log, having read it; it must have grown to this size and root."""
        grown, gone, chain = known, set[str](), self._chain
        while grown.size < size:
            leaves = tx.leaves(start=grown.size, end=min(size, grown.size + READ_AT_ONCE))
            if not leaves:
                break
            gone |= self._read(grown.size, leaves, now=tx.now - tx.clock_behind)
            hashes = [leaf_hash(leaf) for leaf in leaves]
            for leaf, hashed in zip(leaves, hashes, strict=True):
                if leaf.endswith(_CHAINED):
                    chain = telling(chain, hashed)
            grown = grown.extend(hashes)
            self._pass(grown)
        if (grown.size, grown.root()) != (size, root):
            detail = f"the log of {size} entries is not the one that was seen growing"
            if self._known is not None:
                self._distrusted = (
                    detail  # draws were read from what is not believed: only a new process reads them anew
                )
            raise self._rewound(detail)
        self.gone |= gone
        self._chain = chain
        return grown

    def _read(self, start: int, leaves: Sequence[bytes], *, now: datetime) -> set[str]:
        gone: set[str] = set()
        for index, leaf in enumerate(leaves, start=start):
            if not leaf.endswith(_TOLD):
                continue
            try:
                said = fact_of(leaf)
                if said["type"] in TAKES_AWAY:
                    gone.add(str(said["subject"]))
                elif said["type"] in recent.TYPES:
                    self.recent.read(said, now=now)
                elif said["type"] in opened.TYPES:
                    self._envelopes.read(said["type"], said["subject"], said["data"])
                else:
                    self._draws.read(index, said["type"], said["subject"], said["data"])
            except (NotALeaf, KeyError, TypeError, ValueError):
                continue  # no leaf of ours; the verifier names such rows
        return gone

    def _pass(self, frontier: Frontier) -> None:
        """Remember a head on the way, for the next process to begin at: behind it all grants were opened that are open."""
        if frontier.size - self._passed[-1].size >= READ_AT_ONCE:
            self._passed.append(frontier)
        since = frontier.size if self._draws.since is None else self._draws.since
        while len(self._passed) > 1 and self._passed[1].size <= since:
            self._passed.popleft()

    def _rewound(self, detail: str) -> LogRewound:
        logger.error("the log is not what it was", detail=detail)
        where = "" if self.path is None else f"; restored on purpose? an operator removes {self.path.name} and says so"
        return LogRewound(
            f"{detail}; issuing stops, ending goes on",
            rule="the log only grows",
            hint=f"tell security: somebody set the database back{where}",
        )

    def _write(self) -> None:
        with self._lock:
            known, anchor, gone = self._known, self._passed[0], sorted(self.gone)
            chain = self._chain.hex()
            lately, envelopes = self.recent.document(), self._envelopes.document()
        if known is None:
            return
        if self.path is not None:
            frontiers = {"frontier": known.encode().hex(), "anchor": anchor.encode().hex()}
            said = {**frontiers, "gone": gone, "recent": lately, "envelopes": envelopes, "chain": chain}
            fresh = self.path.with_suffix(".new")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(json.dumps(said))
            fresh.replace(self.path)
        self._kept_size = known.size
