"""Evidence packs out of the live log, for auditors; that one was made is a fact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import IO, Any

from countersign.auditlog.pack import PackRefused, Selection, write_pack
from countersign.auditlog.pack.source import Opening
from countersign.domain.people import Principal, Role
from countersign.domain.reading_facts import AuditAsked
from countersign.domain.refusals import Limit, LogUnavailable
from countersign.service.office import Office
from countersign.service.publication import Publication
from countersign.store import Store


@dataclass(frozen=True, kw_only=True)
class Packs:
    """Use cases of auditors who want evidence to take away."""

    office: Office
    publication: Publication
    _making: Lock = field(default_factory=Lock, repr=False)

    def make(self, principal: Principal, selection: Selection, out: IO[bytes]) -> None:
        """Write a pack over the log as far as the newest checkpoint covers it.

        Raises:
            NotPermitted: not an auditor.
            Limit: another one is being made.
            NotFound: no checkpoint is signed yet.
            LogUnavailable: the log is not what its checkpoint names.
        """
        with self.office.store.read() as tx:
            self.office.rules.current(tx).directory.demand(principal, Role.AUDITOR)
        if not self._making.acquire(blocking=False):
            raise Limit("another evidence pack is being made", rule="one at a time", hint="try again in a minute")
        try:
            note = self.publication.checkpoint()
            log = _LiveLog(
                store=self.office.store, checkpoint=note, vkey=self.publication.evidence.opened(note)[1].vkey()
            )
            handed = [each.note for each in self.publication.evidence.handovers() if each.size]
            self._record(principal, selection)
            write_pack(log, selection, out, handovers=handed)
        except PackRefused as refused:
            raise LogUnavailable(str(refused), hint="run countersign verify, and tell security") from refused
        finally:
            self._making.release()

    def _record(self, principal: Principal, selection: Selection) -> None:
        about: dict[str, Any] = {name: value for name, value in selection.document().items() if value is not None}
        with self.office.store.begin() as tx:
            tx.record(
                AuditAsked(
                    actor=principal.person,
                    subject="log",
                    principal=principal.id,
                    question="evidence-pack",
                    about=about,
                    count=tx.head().size,
                )
            )


@dataclass(frozen=True, kw_only=True)
class _LiveLog:
    """The broker's own log."""

    store: Store
    checkpoint: str
    vkey: str

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        return (entry.leaf for entry in self.store.entries(start=start, end=end))

    def opening(self, index: int) -> Opening:
        with self.store.read() as tx:
            found = tx.facts(after=index - 1, limit=1)
        kept = found[0]["openings"] if found else {}
        return {name: (bytes.fromhex(each["salt"]), each["text"]) for name, each in kept.items()}
