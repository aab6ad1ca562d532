"""Which records of others the issuing half follows, as the half that faces people knows it: names, and no way to read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

from countersign.providers.records import RecordSource
from countersign.store import Store


class FollowedApart(Sequence[RecordSource]):
    """The sources that the other half has begun to follow, as the database names them; asked anew each time.

    They answer what a source concerns and what it is blind to. To be read they lack address and rights.
    """

    def __init__(self, store: Store) -> None:
        """Ask nothing yet."""
        self._store = store

    def __iter__(self) -> Iterator[RecordSource]:
        """Yield them by name."""
        with self._store.read() as tx:
            names = [state.name for state in tx.sources()]
        for name in names:
            kind, _, which = name.partition(" ")
            if kind in _KINDS:
                yield _KINDS[kind](which)

    def __len__(self) -> int:
        """Count them."""
        return len(list(iter(self)))

    @overload
    def __getitem__(self, index: int) -> RecordSource: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RecordSource]: ...
    def __getitem__(self, index: int | slice) -> RecordSource | Sequence[RecordSource]:
        """Return one of them, or some."""
        return list(iter(self))[index]


def _audit(provider: str) -> RecordSource:
    from countersign.providers.vault.audit import OpenBaoAudit  # noqa: PLC0415 - loaded only for a source that is followed

    return OpenBaoAudit(Path(), provider=provider)


def _activity(target: str) -> RecordSource:
    from countersign.providers.target.activity import PostgresActivity  # noqa: PLC0415 - as above
    from countersign.providers.target.client import PostgresTarget  # noqa: PLC0415 - as above

    return PostgresActivity(target, PostgresTarget(""))


def _log(target: str) -> RecordSource:
    from countersign.providers.target.log import PostgresLog  # noqa: PLC0415 - as above

    return PostgresLog(target, Path())


def _trail(provider: str) -> RecordSource:
    from countersign.providers.aws.trail import CloudTrail  # noqa: PLC0415 - as above

    return CloudTrail(None, provider=provider)


_KINDS: Mapping[str, Callable[[str], RecordSource]] = {
    "openbao-audit": _audit,
    "postgresql-activity": _activity,
    "postgresql-log": _log,
    "cloudtrail": _trail,
}
"""By the first word of a source's name: what makes its like."""
