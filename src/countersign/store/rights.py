"""What each half of a broker may write at PostgreSQL, as grants to two logins; both may read nearly everything.

Defence in depth and no more: the issuing half believes nothing because of who could write it. A login that is taken over can
still say in its tables what the other half will look at, hold locks, and append to the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from countersign.store import schema
from countersign.store.engine import make_engine

_LONGEST_NAME = 63


class UnfitLogin(Exception):
    """A login that the grants would not bind, or that is not there."""


@dataclass(frozen=True, kw_only=True)
class Write:
    """What a half may write in one table: add rows, change some columns, remove rows."""

    insert: bool = True
    update: tuple[str, ...] = ()
    delete: bool = False


ADD = Write()
_HEAD = Write(insert=False, update=("size", "root", "frontier", "at"))
_FOLLOWED = Write(
    update=("next", "updated_at", "failures", "failing_since", "retry_at", "error", "holder", "held_until", "version")
)

PEOPLE: Mapping[str, Write] = {
    "facts": ADD,
    "openings": ADD,
    "log_head": _HEAD,
    "followers": _FOLLOWED,
    "idempotency": Write(delete=True),
    "requests": Write(update=("state", "version")),
    "reviews": ADD,
    "automatic_approvals": ADD,
    "counter_proposals": ADD,
    "grants": Write(update=("state", "version")),
    # It orders ends; that something is dead, or by which handle it dies, it cannot say.
    "leases": Write(insert=False, update=("asked_at", "cause", "due", "state", "version")),
    "stops": Write(update=("lift_asked_by", "lifted_at", "lifted_by")),
    "envelopes": Write(update=("revoked_at", "revoked_by")),
    "envelope_signatures": ADD,
    "after_reviews": Write(update=("reviewed_at", "reviewer", "verdict")),
    "rulebooks": ADD,
    "proposals": Write(update=("decided_by", "state", "version")),
    "rule_authors": Write(delete=True),
    "rule_signatures": ADD,
    "disabled_persons": ADD,
    "removed_memberships": Write(delete=True),
    "campaigns": Write(update=("closed_at",)),
    "campaign_items": Write(update=("decided_at", "decided_by", "ruling")),
    # That texts are erased is decided here and carried out by the database's owner.
    "erasures": Write(update=("approved_at", "approved_by")),
    "findings": Write(insert=False, update=("acknowledged_at", "acknowledged_by")),
    "tokens": Write(update=("revoked_at",)),
    "sessions": Write(update=("ended_at", "seen_at")),
    "session_tokens": Write(update=("used_at",), delete=True),
    "identity_proofs": ADD,
    "shown_tokens": Write(delete=True),
    "group_words": Write(delete=True),
    "enrolments": ADD,
    "passkey_words": ADD,
    "passkey_counters": Write(update=("at", "counter")),
    "page_tickets": Write(update=("hash", "outcome", "state", "wish"), delete=True),
    # It posts orders and takes what was sealed; what came of an order it cannot say.
    "draw_orders": Write(update=("moved_at", "sealed", "state")),
}
"""What the half that faces people may write."""

ISSUER: Mapping[str, Write] = {
    "facts": ADD,
    "openings": ADD,
    "log_head": _HEAD,
    "followers": _FOLLOWED,
    "idempotency": Write(delete=True),
    "checkpoints": ADD,
    "cosignatures": ADD,
    # The first rules only; later ones take two authors, and the table demands both.
    "rulebooks": ADD,
    "requests": Write(insert=False, update=("state", "version")),
    "grants": Write(insert=False, update=("draws_used", "due", "not_after", "state", "version")),
    "leases": Write(
        update=(
            "asked_at",
            "cause",
            "dead_at",
            "due",
            "evidence",
            "generation",
            "handle",
            "last_used_at",
            "overdue",
            "state",
            "tries",
            "version",
            "written_at",
        )
    ),
    "after_reviews": Write(insert=False, update=("escalated_at",)),
    "stops": ADD,
    "findings": ADD,
    "record_sources": Write(update=("cursor", "name", "read_at", "silent_since", "since", "version")),
    "lease_watches": Write(update=("lease_id", "read_mark")),
    "wrappings": Write(update=("lease_id", "name", "opened_at", "until")),
    "uses": Write(update=("count", "first_at", "last_at")),
    "issuing_processes": Write(delete=True),
    "draw_orders": Write(insert=False, update=("lease", "moved_at", "refusal", "sealed", "state"), delete=True),
}
"""What the issuing half may write."""

UNREAD_BY_THE_ISSUER = frozenset({"tokens", "session_tokens", "page_tickets", "shown_tokens"})
"""What stands for a caller; the issuing half has none."""

READ_BY_BOTH_BESIDE = ("alembic_version",)


def statements(*, people: str, issuer: str) -> list[str]:
    """Return the statements that give two logins what their halves need, and take from them and from everybody all else.

    They are for the owner of the tables, as one transaction, and may be repeated; the logins must exist.

    Args:
        people: the login of the half that faces people.
        issuer: the login of the issuing half.

    Raises:
        UnfitLogin: names that are none, or one name for both.
    """
    if people == issuer:
        raise UnfitLogin("each half has a login of its own")
    for name in (people, issuer):
        if not name.strip() or len(name.encode()) > _LONGEST_NAME or not name.isprintable():
            raise UnfitLogin("a login is named by 1 to 63 printable bytes")
    logins = {_quoted(people): PEOPLE, _quoted(issuer): ISSUER}
    made = [
        f"REVOKE ALL ON {kind} FROM PUBLIC, {', '.join(logins)}"
        for kind in ("ALL TABLES IN SCHEMA public", "ALL SEQUENCES IN SCHEMA public")
    ]
    made.append(f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {', '.join(logins)}")
    # Revoking from a table leaves grants on its columns.
    for table in schema.metadata.sorted_tables:
        columns = ", ".join(_quoted(column.name) for column in table.columns)
        made.append(f"REVOKE ALL ({columns}) ON {_quoted(table.name)} FROM PUBLIC, {', '.join(logins)}")
    for login, writes in logins.items():
        made.append(f"GRANT USAGE ON SCHEMA public TO {login}")
        read = [table.name for table in schema.metadata.sorted_tables if _may_read(table.name, writes)]
        made.append(f"GRANT SELECT ON {', '.join(map(_quoted, (*read, *READ_BY_BOTH_BESIDE)))} TO {login}")
        made += [f"GRANT {', '.join(_verbs(write))} ON {_quoted(name)} TO {login}" for name, write in writes.items()]
    return made


def grant(url: str, *, people: str, issuer: str) -> None:
    """Give two logins their halves' rights, all or nothing, and see that they have no others.

    Args:
        url: of the database, as the owner of its tables.
        people: the login of the half that faces people.
        issuer: the login of the issuing half.

    Raises:
        UnfitLogin: a login that is not there, that no grant binds, or that has more from elsewhere; or the database's own no.
    """
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            for login in (people, issuer):
                _demand_bound(connection, login)
            for statement in statements(people=people, issuer=issuer):
                connection.exec_driver_sql(statement)
            for login, writes in ((people, PEOPLE), (issuer, ISSUER)):
                has, should = held(connection, login), meant(writes)
                if beyond := sorted(has - should):
                    raise UnfitLogin(f"{login} would still have, from elsewhere: {', '.join(beyond)}")
                if missing := sorted(should - has):
                    # PostgreSQL only warns where somebody grants what is not his to give.
                    raise UnfitLogin(f"{login} did not get, for the tables belong to others: {', '.join(missing)}")
    except ProgrammingError as error:
        raise UnfitLogin(f"the database refused it: {str(error.orig).splitlines()[0]}") from None
    finally:
        engine.dispose()


def held(connection: sa.Connection, login: str) -> frozenset[str]:
    """Return what a login may write, from wherever it has that, as `verb table` or `update table.column`."""
    found = connection.execute(
        sa.text(
            "SELECT lower(verb) || ' ' || relname FROM pg_class"
            " CROSS JOIN unnest(ARRAY['INSERT', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS verb"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND CASE verb WHEN 'INSERT' THEN has_any_column_privilege(:login, pg_class.oid, verb)"
            " ELSE has_table_privilege(:login, pg_class.oid, verb) END"
            " UNION ALL SELECT 'update ' || relname || '.' || attname FROM pg_class"
            " JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND has_column_privilege(:login, pg_class.oid, attnum, 'UPDATE')"
        ),
        {"login": login},
    )
    return frozenset(found.scalars())


def meant(writes: Mapping[str, Write]) -> frozenset[str]:
    """Return what a half may write, as `held` says it."""
    verbs = {
        *(f"insert {name}" for name, write in writes.items() if write.insert),
        *(f"delete {name}" for name, write in writes.items() if write.delete),
    }
    return frozenset(verbs | {f"update {name}.{column}" for name, write in writes.items() for column in write.update})


def _may_read(table: str, writes: Mapping[str, Write]) -> bool:
    return writes is PEOPLE or table not in UNREAD_BY_THE_ISSUER


def _verbs(write: Write) -> Iterator[str]:
    if write.insert:
        yield "INSERT"
    if write.update:
        yield f"UPDATE ({', '.join(map(_quoted, write.update))})"
    if write.delete:
        yield "DELETE"


def _demand_bound(connection: sa.Connection, login: str) -> None:
    """Demand a login that grants bind: one who is the owner, or is above grants, could give himself everything back."""
    role = connection.execute(
        sa.text(
            "SELECT rolsuper OR rolcreaterole AS above, EXISTS (SELECT FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace = 'public'::regnamespace AND pg_has_role(pg_roles.oid, relowner, 'MEMBER')) AS owner"
            " FROM pg_roles WHERE rolname = :login AND rolcanlogin"
        ),
        {"login": login},
    ).one_or_none()
    if role is None:
        raise UnfitLogin(f"there is no login {login}; make it first: CREATE ROLE … LOGIN PASSWORD …")
    if role.above:
        raise UnfitLogin(f"{login} is a superuser or makes roles: no grant binds it")
    if role.owner:
        raise UnfitLogin(f"{login} owns the tables, or is a member of who does")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
