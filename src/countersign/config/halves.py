"""The two halves: which of them a process is, and what its settings may then not hold, because the other half alone needs it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from enum import StrEnum


class Half(StrEnum):
    """What a process is."""

    BOTH = "both"
    PEOPLE = "people"
    ISSUER = "issuer"


OF_PROVIDERS = ("openbao", "aws", "targets", "archive", "log_transit", "log_key_path")
"""What gives rights at providers, or signs the log."""
OF_PEOPLE = ("issuers", "webhooks", "stream_path", "public_url", "listen_host", "allowed_hosts")
"""What is for people, and for whoever is told of things."""


def what_does_not_fit(half: Half, given: AbstractSet[str], *, database: str) -> str | None:
    """Say what is expected instead of settings that do not fit the half; None if they do.

    Args:
        half: what the process is to be.
        given: the names of the settings that somebody gave.
        database: the database's URL.
    """
    if half is Half.BOTH:
        return None
    if not database.startswith("postgresql"):
        return f"a database_url that begins with postgresql:// for half = {half}: two processes work on one database"
    foreign = OF_PROVIDERS if half is Half.PEOPLE else OF_PEOPLE
    wrong = [name for name in foreign if name in given]
    if not wrong:
        return None
    other = Half.ISSUER if half is Half.PEOPLE else Half.PEOPLE
    return f"no {', '.join(wrong)} for half = {half}: that belongs to the {other} half alone"
