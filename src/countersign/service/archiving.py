"""The copy outside: a follower that writes the log as tiles, its checkpoints and the texts where nobody can change them.

Paths are those of C2SP tlog-tiles, so a synchronised copy is a log by itself. What a path stands for never changes: partial
tiles have paths of their own, and checkpoints lie under their size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Protocol

import structlog

from countersign.auditlog.checkpoint import parse_body
from countersign.auditlog.leaf import Entry
from countersign.auditlog.note import parse_note
from countersign.auditlog.tiles import CHECKPOINTS, WIDTH, handover_path, partial_tiles_of, tiles_of
from countersign.providers.base import ArchiveDiffers, ProviderTrouble
from countersign.service.checkpoints import Checkpoints
from countersign.service.followers import NotYet, Unfinished
from countersign.service.office import Office
from countersign.service.publication import Publication

logger = structlog.get_logger(__name__)

ARCHIVE_EVERY = timedelta(seconds=20)
"""How often at most a checkpoint is copied with its partial tiles, which are written anew each time."""
OPENINGS = "openings"


class Archive(Protocol):
    """Where things are kept for as long as they must be."""

    def keep(self, path: str, raw: bytes, *, until: datetime, held: bool = False) -> None:
        """Write bytes once, locked until a moment; the same again is well.

        Raises:
            ArchiveDiffers: other bytes lie there, or they are not locked.
            ProviderTrouble: it is away or says no.
        """


@dataclass(kw_only=True)
class Archiving:
    """The follower `archive`: its cursor has passed what lies in the copy."""

    office: Office
    publication: Publication
    checkpoints: Checkpoints
    archive: Archive
    _copied_at: datetime | None = field(default=None, repr=False)
    _handed: set[int] = field(default_factory=set, repr=False)

    @property
    def name(self) -> str:
        """The follower's name."""
        return "archive"

    def handle(self, entries: Sequence[Entry]) -> None:
        """Copy these entries with the newest checkpoint that ends among them.

        Raises:
            Unfinished: the archive is away, or the checkpoint ends before the last of them.
            NotYet: a checkpoint was copied a moment ago.
        """
        first, end = entries[0].index, entries[-1].index + 1
        with self.office.store.read() as tx:
            now = tx.now
        waited = None if self._copied_at is None else now - self._copied_at
        if len(entries) < WIDTH and waited is not None and timedelta(0) <= waited < ARCHIVE_EVERY:
            raise NotYet(ARCHIVE_EVERY - waited)
        size = self._checkpointed(first, end)
        try:
            if size is None:
                # The next checkpoint lies beyond: what is full already can go, and it comes with the entries up to there.
                self._keep_tiles(end, since=first, now=now, is_last=False)
                self._keep_openings(first, end, now=now)
                return
            self._keep_tiles(size, since=first, now=now, is_last=True)
            self._keep_openings(first, size, now=now)
            self._keep_checkpoint(size, now=now)
            self._keep_handovers(size, now=now)
        except ProviderTrouble as trouble:
            raise Unfinished(str(trouble)) from None
        except ArchiveDiffers as difference:
            logger.error("the copy outside is not what was written", trouble=str(difference))  # noqa: TRY400 - it is no fault of ours
            raise Unfinished(str(difference)) from None
        self._copied_at = now
        if size < end:
            raise Unfinished(done=size - first)

    def _checkpointed(self, first: int, end: int) -> int | None:
        """Return the largest size that was signed among these entries; signs if there is none."""
        for _ in range(2):
            with self.office.store.read() as tx:
                size = tx.checkpoint_size(at_most=end)
            if size is not None and size > first:
                return size
            self.checkpoints.sign()
        return None

    def _keep_tiles(self, size: int, *, since: int, now: datetime, is_last: bool) -> None:
        full = [tile for tile in tiles_of(size, since=since) if tile.width == WIDTH]
        for tile in [*full, *(partial_tiles_of(size) if is_last else ())]:
            self._keep(tile.path(), self.publication.tile(tile), now=now)

    def _keep_openings(self, first: int, end: int, *, now: datetime) -> None:
        """Keep the texts that entries only commit to; they are apart, so that they alone can be erased one day."""
        with self.office.store.read() as tx:
            rows = tx.facts(after=first - 1, limit=end - first)
        lines = [
            json.dumps({"index": row["index"], "field": name, **opening}, ensure_ascii=False, sort_keys=True)
            for row in rows
            for name, opening in sorted(row["openings"].items())
        ]
        if lines:
            self._keep(
                f"{OPENINGS}/{first:020}-{end:020}.ndjson", "".join(f"{each}\n" for each in lines).encode(), now=now
            )

    def _keep_checkpoint(self, size: int, *, now: datetime) -> None:
        """Keep the checkpoint, and with it the cosignatures that are there by now; others come with a later one."""
        with self.office.store.read() as tx:
            note = tx.checkpoint(size)
        published = self.publication.checkpoint()
        if parse_body(parse_note(published.encode()).text).size == size and published != note:
            # By its content: asked again after a crash, there may be a name more under it.
            which = sha256(published.encode()).hexdigest()[:16]
            self._keep(f"{CHECKPOINTS}/{size:020}.{which}", published.encode(), now=now)
        if note is not None:
            self._keep(f"{CHECKPOINTS}/{size:020}", note.encode(), now=now)

    def _keep_handovers(self, size: int, *, now: datetime) -> None:
        """Keep what brought in the keys that signed up to here; without it only who knows the newest key believes the copy."""
        for each in self.publication.evidence.handovers():
            if 0 < each.size <= size and each.size not in self._handed:
                self._keep(handover_path(each.note), each.note.encode(), now=now)
                self._handed.add(each.size)

    def _keep(self, path: str, raw: bytes, *, now: datetime) -> None:
        with self.office.store.read() as tx:
            trust = self.office.rules.current(tx).catalog.trust
        until = now + timedelta(days=trust.retention_days)
        self.archive.keep(path, raw, until=until, held=trust.legal_hold)
