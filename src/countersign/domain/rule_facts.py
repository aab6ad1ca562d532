"""Facts of the rules' own words, so that what a rule asked for can be judged from the log alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class RulebookWritten(Fact):
    """What rules that come into force with the next `rulebook.adopted` say, as far as it differs from those before."""

    type = "rulebook.written"
    rows: tuple[Mapping[str, Any], ...]
