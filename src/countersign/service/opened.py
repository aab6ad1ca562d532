"""What the log says of envelopes: which were revoked, and which requests opened them.

The same stands in rows, which whoever writes into the database can take away; what the log said cannot be unsaid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.domain.emergency_facts import BreakGlassOpened, EnvelopeRevoked
from countersign.domain.envelope import Envelope
from countersign.domain.refusals import ApprovalVoid

TYPES = (EnvelopeRevoked.type, BreakGlassOpened.type)


@dataclass(kw_only=True)
class EnvelopeBook:
    """All envelopes that were opened or revoked, as far as the log was read."""

    _revoked: set[str] = field(default_factory=set)
    _openings: dict[str, set[str]] = field(default_factory=dict)

    def read(self, type_: str, subject: str, data: Mapping[str, Any]) -> None:
        """Take in one fact of `TYPES`."""
        if type_ == EnvelopeRevoked.type:
            self._revoked.add(subject)
        elif data["envelope"] is not None:
            self._openings.setdefault(data["envelope"], set()).add(data["request"])

    def demand(self, envelope: Envelope, *, request: str) -> None:
        """Demand that the log says of an envelope that this request opened it, and not one too many, and that nobody revoked it.

        Raises:
            ApprovalVoid: its rows say something else.
        """
        openings = self._openings.get(envelope.id, set())
        if envelope.id in self._revoked or request not in openings or len(openings) > envelope.uses:
            raise ApprovalVoid(
                f"{envelope.id} was revoked, or opened more than {envelope.uses} times or not by {request}, as the log has it",
                rule="an envelope is opened as the log says",
                hint="tell security: somebody wrote into the database",
            )

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "revoked": sorted(self._revoked),
            "openings": {name: sorted(requests) for name, requests in sorted(self._openings.items())},
        }

    def resume(self, *, revoked: Iterable[str], openings: Mapping[str, Iterable[str]]) -> None:
        """Go on from what a process before this one kept."""
        self._revoked |= set(revoked)
        for name, requests in openings.items():
            self._openings.setdefault(name, set()).update(requests)
