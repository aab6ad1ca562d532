"""Comparing the log with what OpenBao, PostgreSQL and AWS say, read with the auditor's own rights there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countersign.cli.failures import Exit, usage
from countersign.cli.session import Session, with_session

if TYPE_CHECKING:
    from countersign.auditlog.reconciliation import Extract, Unmatched
    from countersign.auditlog.report import Report

TOKEN_VARIABLE = "COUNTERSIGN_OPENBAO_TOKEN"  # noqa: S105 - the name of a variable
DSN_VARIABLE = "COUNTERSIGN_TARGET_DSN"
_FILE = click.Path(path_type=Path)


@click.command(short_help="Compare the log with what others wrote down.")
@click.argument("path", required=False, type=_FILE)
@click.option(
    "--key", "keys", multiple=True, metavar="VKEY", help="A key you trust, or a file with it; repeat for more."
)
@click.option(
    "--checkpoint", "checkpoints", multiple=True, type=_FILE, help="A checkpoint that you kept; repeat for more."
)
@click.option(
    "--openbao-audit", multiple=True, type=_FILE, help="A file of OpenBao's audit device; repeat, oldest first."
)
@click.option("--mount", "mounts", multiple=True, help="Only reads at this mount must be explained; repeat for more.")
@click.option("--openbao", metavar="URL", help=f"OpenBao itself, for its tokens; yours is in {TOKEN_VARIABLE}.")
@click.option("--openbao-token-file", type=_FILE, help="A file with your token at OpenBao.")
@click.option("--target", metavar="ID", help=f"A PostgreSQL target by its catalog id; your DSN is in {DSN_VARIABLE}.")
@click.option("--dsn-file", type=_FILE, help="A file with your DSN there.")
@click.option("--postgres-log", type=_FILE, help="The folder or a file of that server's jsonlog.")
@click.option("--aws-role", "roles", multiple=True, metavar="ARN", help="A target role; repeat for more.")
@click.option("--aws-profile", metavar="NAME", help="Your profile at AWS; else what the environment says.")
@click.option("--aws-region", default="us-east-1", show_default=True)
@click.option("--aws-endpoint", metavar="URL", help="One address for all of AWS (an emulator).")
@click.option(
    "--hours", type=click.IntRange(1, 2160), default=24, show_default=True, help="How far CloudTrail is asked back."
)
@click.option("--into", type=_FILE, help="With a pack at PATH: a new copy of it that holds extracts and result.")
@with_session
def reconcile(session: Session, /, **asked: Any) -> None:  # noqa: ANN401 - one value for each option above
    """Verify a log (an export at PATH, or what the broker serves) and compare it with every source that you name.

    What one side says and the other does not bear out is listed, both ways. Exit code 1 if there is any, or the log does not
    verify. Sources are read first and the log after them, so that nothing that was made in between is called unknown. A pack's
    log ends where the pack was made: what came later is unknown to it.
    """
    from countersign.auditlog.reconciliation import Replay  # noqa: PLC0415 - loads cryptography
    from countersign.auditlog.reconciliation import reconcile as compare  # noqa: PLC0415 - as above
    from countersign.cli.sources import read_trust, verify_live, verify_path  # noqa: PLC0415 - as above

    into: Path | None = asked["into"]
    if into is not None and (asked["path"] is None or into.exists()):
        raise usage("--into names a new copy of the pack at PATH", field="--into")
    replay = Replay()
    trust = read_trust(asked["keys"], asked["checkpoints"], meaning=replay)
    extracts = list(_extracts(asked))
    if not extracts:
        raise usage("name at least one source to compare with", hint="countersign reconcile --help")
    report = verify_live(session.client, trust) if asked["path"] is None else verify_path(asked["path"], trust)
    if not asked["keys"]:
        session.out.warn("no --key: no signature was checked, and who rewrote all of it would go unseen")
    unmatched = compare(replay.leases(), extracts)
    _tell(session, report, extracts, unmatched)
    if into is not None:
        from countersign.cli.reconciled import put_into_copy  # noqa: PLC0415 - as above

        digest = put_into_copy(asked["path"], into, log=report, extracts=extracts, unmatched=unmatched)
        session.out.hint(f"{into} holds it; note the SHA-256 of its report, beside the log's root: {digest}")
    click.get_current_context().exit(int(Exit.OK if report.ok and not unmatched else Exit.FAILURE))


def _extracts(asked: dict[str, Any]) -> Iterator[Extract]:
    from countersign.bootstrap.clock import now  # noqa: PLC0415 - loads all of the broker
    from countersign.cli import extracts  # noqa: PLC0415 - as above

    if asked["openbao_audit"]:
        yield extracts.openbao_audit(asked["openbao_audit"], mounts=asked["mounts"])
    if asked["openbao"]:
        token = _secret(asked["openbao_token_file"], TOKEN_VARIABLE, "--openbao-token-file")
        yield extracts.openbao_tokens(asked["openbao"], token, clock=now)
    if asked["postgres_log"] and not asked["target"]:
        raise usage("say whose log that is", field="--target")
    if asked["postgres_log"]:
        yield extracts.postgres_log(asked["postgres_log"], target=asked["target"])
    if asked["target"] and (asked["dsn_file"] or os.environ.get(DSN_VARIABLE) or not asked["postgres_log"]):
        dsn = _secret(asked["dsn_file"], DSN_VARIABLE, "--dsn-file")
        yield extracts.postgres_roles(dsn, target=asked["target"], clock=now)
    if asked["roles"]:
        trail, iam = (_aws(service, asked) for service in ("cloudtrail", "iam"))
        yield extracts.cloudtrail(trail, asked["roles"], hours=asked["hours"], clock=now)
        yield extracts.iam_policies(iam, asked["roles"], clock=now)


def _aws(service: str, asked: dict[str, Any]) -> Any:  # noqa: ANN401 - boto3 clients have no types
    from countersign.providers.aws.connection import reading_client  # noqa: PLC0415 - loads boto3
    from countersign.providers.aws.settings import AwsPrincipal  # noqa: PLC0415 - as above

    own = AwsPrincipal(profile=asked["aws_profile"])
    return reading_client(service, own, region=asked["aws_region"], endpoint_url=asked["aws_endpoint"])


def _secret(file: Path | None, variable: str, option: str) -> str:
    """Return a secret from where no other user of the machine reads it."""
    if file is None:
        given = os.environ.get(variable)
        if not given:
            raise usage(f"set {variable}, or give {option}: it does not go into arguments", field=option)
        return given
    from countersign.config.problems import ConfigError  # noqa: PLC0415 - loads pydantic
    from countersign.config.secretfile import read_secret  # noqa: PLC0415 - as above

    try:
        return read_secret(file).get_secret_value()
    except ConfigError as error:
        raise usage(str(error), field=option) from None


def _tell(session: Session, report: Report, extracts: list[Extract], unmatched: list[Unmatched]) -> None:
    if session.out.as_json:
        session.out.json(
            {
                "ok": report.ok and not unmatched,
                "log": {name: report.as_json()[name] for name in ("ok", "size", "root", "failures")},
                "extracts": [extract.as_json() for extract in extracts],
                "unmatched": [each.as_json() for each in unmatched],
            }
        )
        return
    for failure in report.failures:
        place = "log" if failure.index is None else f"entry {failure.index}"
        session.out.line(f"{place}: {failure.code}: {failure.detail}")
    rows = [[each.side, each.source, each.lease, each.detail] for each in unmatched]
    session.out.table(["said by", "source", "lease", "what the other side does not bear out"], rows)
    for extract in extracts:
        session.out.line(f"{extract.source}: {len(extract.items)} items, sha256 {extract.sha256}")
    word = "verifies" if report.ok else "DOES NOT VERIFY"
    session.out.line(f"the log {word}: {report.size} entries, root {report.root.hex()}; unmatched: {len(unmatched)}")
