"""What the name of a PostgreSQL group or of a path at OpenBao gives away: more than any task takes, or a way past the end.

The predefined roles are those of PostgreSQL's documentation (chapter "Predefined Roles"), the administrators' names those of
common managed services. A role of an innocent name can hold as much: names are all that can be judged before anything exists.
"""

from __future__ import annotations

from collections.abc import Sequence

_ADMINISTRATORS = frozenset(
    {
        "postgres",
        "rdsadmin",
        "rds_superuser",
        "rds_replication",
        "cloudsqladmin",
        "cloudsqlsuperuser",
        "alloydbsuperuser",
        "azure_pg_admin",
        "azuresu",
        "enterprisedb",
        "neon_superuser",
        "supabase_admin",
    }
)
_TO_THE_HOST = frozenset({"pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"})
_BROAD = {
    "pg_read_all_data": "reads every table of the database, whoever owns it",
    "pg_write_all_data": "changes every table of the database, whoever owns it",
    "pg_database_owner": "holds whatever is granted to the database's owner",
    "pg_signal_backend": "ends other people's sessions, those that end leases too",
    "pg_create_subscription": "lets the server connect elsewhere, and goes on after the end",
    "pg_maintain": "locks and rewrites every table of the database",
}
_ENDLESS = frozenset({"sys", "auth", "identity"})


def why_never(group: str) -> str | None:
    """Say why membership in a PostgreSQL group is never given: who holds it could undo the end of his own access."""
    name = group.lower()
    if name in _ADMINISTRATORS:
        return "is an administrator of the whole server"
    if name in _TO_THE_HOST:
        return "reaches the server's host, and from there everything"
    return None


def dangers_of(groups: Sequence[str] | None, *, role: str) -> tuple[str, ...]:
    """Return what an approver and an author should not overlook, a line each.

    Args:
        groups: those that the login is to be in; None where the entitlement does not name them.
        role: OpenBao's role, which then decides alone.
    """
    if groups is None:
        return (f"grants.member_of is not named: what OpenBao's role {role} gives is neither shown nor compared",)
    return tuple(f"{group}: {why}" for group in groups if (why := _why_broad(group.lower())) is not None)


def is_endless(path: str) -> bool:
    """Say whether a path of OpenBao's makes or changes access itself, which then outlives the token or widens it."""
    return path.partition("/")[0] in _ENDLESS


def _why_broad(name: str) -> str | None:
    if name in _BROAD:
        return _BROAD[name]
    return "is a predefined role of PostgreSQL, over all of the database" if name.startswith("pg_") else None
