"""The rules in a pack: what each change changed, and what was in force at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.auditlog.leaf import Fact
from countersign.domain.rule_texts import Row, documents, folded


@dataclass(slots=True)
class Rulebooks:
    """Gathers the rules' words as they come into force."""

    sections: dict[str, Any] = field(default_factory=dict)
    number: int = 0
    _rows: list[Row] = field(default_factory=list)

    def feed(self, index: int, fact: Fact) -> Iterator[tuple[str, bytes]]:
        """Take the next entry, and yield the file of a rulebook that comes into force with it."""
        if fact["type"] == "rulebook.written":
            self._rows += fact["data"]["rows"]
        elif fact["type"] == "rulebook.adopted":
            self.number += 1
            said = {"entry": index, "at": fact["at"], **fact["data"], "changed": self._rows}
            self.sections, self._rows = folded(self.sections, self._rows), []
            yield f"rulebooks/{self.number:04d}.json", pretty(said)

    def in_force(self) -> bytes:
        """Return the rules in force at the end."""
        catalog, directory = documents(self.sections)
        return pretty({"rulebook": self.number, "catalog": catalog, "directory": directory})


def pretty(value: Mapping[str, Any]) -> bytes:
    """Return JSON that people read and that is spelled in one way."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
