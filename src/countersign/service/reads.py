"""Reads that are facts: what auditors are shown, and that an approver has looked at a request before he signed it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

from countersign.domain.people import Principal, Role
from countersign.domain.reading_facts import AuditRead, RequestSeen
from countersign.service.office import Office
from countersign.service.questions import Questions, RequestView

FILES = "GET /log"
FILES_EVERY_S = 60.0
"""The log's files are read by the thousand: that somebody reads them is said once in so long."""
MOST_ABOUT = 8
LONGEST_ABOUT = 80


@dataclass(kw_only=True)
class Reads:
    """Records who looked."""

    office: Office
    questions: Questions
    monotonic: Callable[[], float] = time.monotonic
    _files: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def look(self, principal: Principal, request_id: str) -> RequestView:
        """Return a request; the first time that somebody is shown it who may sign it is a fact.

        Raises:
            NotFound: none such, or the caller is a stranger to it.
        """
        view = self.questions.request(principal, request_id)
        if principal.human and principal.person in view.may_review and not self._has_seen(principal, request_id):
            with self.office.store.begin() as tx:
                tx.serialise(f"seen {request_id}")
                if not tx.has_fact(RequestSeen.type, subject=request_id, actor=principal.person):
                    tx.record(RequestSeen(actor=principal.person, subject=request_id, principal=principal.id))
        return view

    def shown(self, principal: Principal, call: str, about: Mapping[str, str]) -> None:
        """Record what somebody is about to be shown, if he is an auditor; without the record it is not shown.

        Raises:
            LogUnavailable: it cannot be recorded.
        """
        with self.office.store.read() as tx:
            is_auditor = Role.AUDITOR in self.office.rules.current(tx).directory.roles_of(principal.person)
        if not is_auditor:
            return
        said = {name: str(value)[:LONGEST_ABOUT] for name, value in list(about.items())[:MOST_ABOUT]}
        with self.office.store.begin() as tx:
            tx.record(
                AuditRead(actor=principal.person, subject="log", principal=principal.id, call=call[:80], about=said)
            )

    def files_shown(self, principal: Principal) -> None:
        """Record that somebody reads the log's files, now and then."""
        now = self.monotonic()
        with self._lock:
            if now - self._files.get(principal.person, float("-inf")) < FILES_EVERY_S:
                return
            self._files[principal.person] = now
        self.shown(principal, FILES, {})

    def _has_seen(self, principal: Principal, request_id: str) -> bool:
        with self.office.store.read() as tx:
            return tx.has_fact(RequestSeen.type, subject=request_id, actor=principal.person)
