"""Where a pack's log comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

Opening = Mapping[str, tuple[bytes, str]]
"""By field of a fact, the salt and the text that its commitment binds."""


class PackRefused(ValueError):
    """The log is not what its checkpoint names, so no evidence can be made of it."""


class Source(Protocol):
    """A log with a signed checkpoint over it."""

    @property
    def checkpoint(self) -> str:
        """The signed note that the pack rests on."""

    @property
    def vkey(self) -> str:
        """The public key that signed it."""

    def leaves(self, start: int, end: int) -> Iterable[bytes]:
        """Yield the entries' bytes in order."""

    def opening(self, index: int) -> Opening:
        """Return the free texts that are kept beside an entry; none where they are not known."""
