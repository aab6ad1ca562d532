"""Reads what others wrote down or hold, with the reader's own rights: OpenBao, PostgreSQL, AWS. It changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from countersign.auditlog.reconciliation import Demand, Extract, Kind, Seen
from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.domain.canonical import canonical
from countersign.domain.ids import LEASE, is_id
from countersign.domain.records import Act, Outcome, Record, named_lease

Clock = Callable[[], datetime]
CLOUDTRAIL_DELAY = timedelta(minutes=20)


def openbao_audit(paths: Sequence[Path], *, mounts: Sequence[str]) -> Extract:
    """Return what OpenBao's audit files tell of credentials and uses; files in the order of their time, oldest first.

    Args:
        paths: the files.
        mounts: of reads that name no lease, only those at these mounts count; none means all.

    Raises:
        CommandFailed: a file cannot be read, or holds what is no entry.
    """
    from countersign.providers.followed_file import UNREADABLE  # noqa: PLC0415 - loads the provider
    from countersign.providers.vault.audit import record_of, time_of  # noqa: PLC0415 - as above

    hashed = hashlib.sha256()
    items: list[Seen] = []
    first: datetime | None = None
    last: datetime | None = None
    for number, line in _lines(paths, hashed.update):
        try:
            record, last = record_of(line), time_of(line)
        except UNREADABLE:
            raise _no_entry(number, "an OpenBao audit device") from None
        first = first or last
        if record is None or (record.lease_id is None and (record.act is Act.DELIVERY or _elsewhere(record, mounts))):
            continue
        items.append(_seen(record, _KINDS[record.act]))
    if first is None or last is None:
        raise usage("the audit files are empty", field="--openbao-audit")
    return Extract(
        source="openbao-audit",
        sha256=hashed.hexdigest(),
        items=items,
        since=first,
        until=last,
        provider="vault",
        demand=Demand.ISSUED,
    )


def postgres_log(path: Path, *, target: str) -> Extract:
    """Return what a PostgreSQL server's jsonlog tells of leases.

    Raises:
        CommandFailed: a file cannot be read, or holds what is no entry.
    """
    from countersign.providers.followed_file import UNREADABLE  # noqa: PLC0415 - loads the provider
    from countersign.providers.target.log import record_of, time_of  # noqa: PLC0415 - as above

    paths = sorted(path.glob("*.json")) if path.is_dir() else [path]
    hashed, items, last = hashlib.sha256(), [], None
    for number, line in _lines(paths, hashed.update):
        try:
            record, last = record_of(line), time_of(line)
        except UNREADABLE:
            raise _no_entry(number, "a PostgreSQL jsonlog") from None
        items += [_seen(record, Kind.USE)] if record is not None else []
    if last is None:
        raise usage(f"there is no jsonlog at {path}", field="--postgres-log")
    return Extract(source=f"postgresql-log {target}", sha256=hashed.hexdigest(), items=items, until=last, target=target)


def postgres_roles(dsn: str, *, target: str, clock: Clock) -> Extract:
    """Return the roles named by leases that may log in at a target.

    Raises:
        CommandFailed: the target cannot be read.
    """
    import psycopg  # noqa: PLC0415 - loads a driver

    try:
        with psycopg.connect(
            dsn, autocommit=True, connect_timeout=5, application_name="countersign-reconcile"
        ) as opened:
            rows = opened.execute(
                "SELECT rolname FROM pg_roles WHERE rolname ~ '^lse_' AND rolcanlogin ORDER BY rolname"
            ).fetchall()
    except psycopg.Error as error:
        raise _away("the target", error.diag.message_primary or type(error).__name__) from None
    names = [str(name) for (name,) in rows]
    items = [
        Seen(kind=Kind.HELD if is_id(name, LEASE) else Kind.FOREIGN, lease=name, what=f"login role {name}")
        for name in names
    ]
    return _looked(f"postgresql-roles {target}", names, items, clock=clock, target=target, demand=Demand.LIVING)


def openbao_tokens(address: str, token: str, *, clock: Clock) -> Extract:
    """Return OpenBao's tokens that bear a lease or were made through the broker's token role.

    Raises:
        CommandFailed: OpenBao cannot be read.
    """
    from countersign.providers.base import Away  # noqa: PLC0415 - loads the provider
    from countersign.providers.vault.tokens import TOKEN_ROLE  # noqa: PLC0415 - as above
    from countersign.providers.vault.wire import Wire  # noqa: PLC0415 - as above

    try:
        wire = Wire(address)
    except ValueError as error:
        raise usage(str(error), field="--openbao") from None
    found = []
    try:
        listed = wire.call("LIST", "auth/token/accessors", token=token)
        keys = listed.table("data").get("keys")
        if not listed.ok or not isinstance(keys, list):
            raise _away("OpenBao", listed.complaint())
        for accessor in sorted(map(str, keys)):
            data = wire.call("POST", "auth/token/lookup-accessor", token=token, body={"accessor": accessor}).table(
                "data"
            )
            lease = named_lease((data.get("meta") or {}).get("lease"))
            if lease is not None or data.get("role") == TOKEN_ROLE:
                found.append({"lease": lease, "role": data.get("role"), "display_name": data.get("display_name")})
    except Away as away:
        raise _away("OpenBao", str(away)) from None
    finally:
        wire.close()
    items = [
        Seen(kind=Kind.HELD, lease=each["lease"], what=f"token {each['display_name']} of role {each['role']}")
        for each in found
    ]
    return _looked("openbao-tokens", found, items, clock=clock, provider="vault", demand=Demand.LIVING)


def cloudtrail(client: Any, roles: Sequence[str], *, hours: int, clock: Clock) -> Extract:  # noqa: ANN401 - boto3 clients have no types
    """Return who assumed the target roles, by CloudTrail.

    Raises:
        CommandFailed: CloudTrail cannot be read.
    """
    from countersign.providers.aws.history import assumptions  # noqa: PLC0415 - loads boto3
    from countersign.providers.base import Away, Declined  # noqa: PLC0415 - as above

    until = clock() - CLOUDTRAIL_DELAY
    since = clock() - timedelta(hours=hours)
    try:
        found = [each for each in assumptions(client, since=since) if each.role_arn in roles]
    except (Away, Declined) as away:
        raise _away("CloudTrail", str(away)) from None
    items = [
        Seen(
            kind=Kind.CREDENTIAL if each.lease is not None and each.is_drawn else Kind.TRACE,
            lease=each.lease,
            at=each.at,
            mark=each.event_id,
            served=each.served,
            what=f"session {each.session} of {each.role_arn}",
        )
        for each in found
    ]
    plain = [[each.event_id, each.session, each.role_arn] for each in found]
    return Extract(
        source="cloudtrail",
        sha256=hashlib.sha256(canonical(plain)).hexdigest(),
        items=items,
        since=since,
        until=until,
        provider="aws",
        demand=Demand.ISSUED,
    )


def iam_policies(client: Any, roles: Sequence[str], *, clock: Clock) -> Extract:  # noqa: ANN401 - boto3 clients have no types
    """Return what stands in the target roles' list of ended leases, and what in it is not Countersign's.

    Raises:
        CommandFailed: IAM cannot be read.
    """
    from countersign.providers.aws.history import ended_lists  # noqa: PLC0415 - loads boto3
    from countersign.providers.base import Away, Declined  # noqa: PLC0415 - as above

    try:
        lists = ended_lists(client, roles)
    except (Away, Declined) as away:
        raise _away("IAM", str(away)) from None
    items = []
    for arn, found in lists.items():
        leases = sorted({lease for entries in found.entries.values() for lease in entries})
        items += [Seen(kind=Kind.TRACE, lease=lease, what=f"denied in {arn}") for lease in leases]
        items += [Seen(kind=Kind.FOREIGN, what=f"a statement in {arn}") for _ in found.foreign]
    plain = {arn: found.document() for arn, found in lists.items()}
    return _looked("iam-policies", plain, items, clock=clock, provider="aws")


_KINDS = {Act.READ: Kind.CREDENTIAL, Act.USE: Kind.USE, Act.DELIVERY: Kind.TRACE}


def _elsewhere(record: Record, mounts: Sequence[str]) -> bool:
    return bool(mounts) and record.place not in mounts


def _seen(record: Record, kind: Kind) -> Seen:
    return Seen(
        kind=kind,
        lease=record.lease_id,
        at=record.at,
        mark=record.mark,
        served=record.outcome is Outcome.DONE,
        what=record.what,
    )


def _looked(
    source: str,
    plain: Any,  # noqa: ANN401 - canonical JSON of any shape
    items: Sequence[Seen],
    *,
    clock: Clock,
    provider: str | None = None,
    target: str | None = None,
    demand: Demand = Demand.NONE,
) -> Extract:
    return Extract(
        source=source,
        sha256=hashlib.sha256(canonical(plain)).hexdigest(),
        items=items,
        until=clock(),
        provider=provider,
        target=target,
        demand=demand,
    )


def _lines(paths: Iterable[Path], hashed: Callable[[bytes], object]) -> Iterator[tuple[int, bytes]]:
    number = 0
    for path in paths:
        try:
            with path.open("rb") as file:
                for line in file:
                    number += 1
                    hashed(line)
                    if line.endswith(b"\n"):  # the last line may still be written
                        yield number, line
        except OSError as error:
            raise usage(f"{path} cannot be read: {error.strerror}") from None


def _no_entry(number: int, of: str) -> CommandFailed:
    return CommandFailed(f"line {number} is no entry of {of}", code="unreadable")


def _away(who: str, why: str) -> CommandFailed:
    return CommandFailed(f"{who} cannot be read: {why}", exit_code=Exit.AWAY, code="source-away")
