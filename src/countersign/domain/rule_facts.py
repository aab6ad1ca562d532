"""Facts of the rules' own words, so that what a rule asked for can be judged from the log alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign.domain.facts import Fact
from countersign.domain.request import Sealed


@dataclass(frozen=True, kw_only=True)
class RulebookProposed(Fact):
    """Somebody proposed another catalog and directory, built on the rulebook numbered `base`."""

    type = "rulebook.proposed"
    principal: str
    digest: str
    catalog: str
    directory: str
    base: int
    reason: Sealed


@dataclass(frozen=True, kw_only=True)
class ProposalSigned(Fact):
    """The author of a proposal signed it with a passkey."""

    type = "rulebook.signed"
    principal: str
    digest: str
    signature: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ProposalDecided(Fact):
    """A proposal was approved or rejected by another author, or withdrawn by its own."""

    type = "rulebook.decided"
    principal: str
    digest: str
    state: str
    signature: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class RulebookAdopted(Fact):
    """A catalog and directory, known by their digests, came into force; `genesis` marks the first.

    Attributes:
        written: how many `rulebook.written` entries before this one say what changed; None where none was written.
    """

    type = "rulebook.adopted"
    catalog: str
    directory: str
    genesis: bool
    proposed_by: str | None = None
    approved_by: str | None = None
    written: int | None = None


@dataclass(frozen=True, kw_only=True)
class RulebookWritten(Fact):
    """What rules that come into force with the next `rulebook.adopted` say, as far as it differs from those before."""

    type = "rulebook.written"
    rows: tuple[Mapping[str, Any], ...]
