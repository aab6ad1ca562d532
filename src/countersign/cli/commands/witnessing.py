"""Running a witness: a small process that another team keeps, elsewhere, and that vouches for logs it did not write."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.session import Session, with_session

if TYPE_CHECKING:
    from countersign.config.witness_file import WitnessSettings
    from countersign.service.witnessing import Witness

LOOK_EVERY_S = 2.0
_settings = click.argument("settings", type=click.Path(path_type=Path))


@click.group(short_help="Vouch for logs from elsewhere.")
def witness() -> None:
    """Cosign logs' checkpoints, each only if it grows out of the one cosigned before (C2SP tlog-witness)."""


@witness.command(short_help="Make the witness's key.")
@_settings
@with_session
def key(session: Session, *, settings: Path) -> None:
    """Make the key that SETTINGS names, if there is none, and print its public half: whoever trusts the witness needs that."""
    from countersign.auditlog.signer import create_cosigner_file, load_cosigner_file  # noqa: PLC0415 - loads cryptography

    with _told():
        found = _load(settings)
        try:
            cosigner = create_cosigner_file(found.key_path, found.name)
        except FileExistsError:
            cosigner = load_cosigner_file(found.key_path)
        if cosigner.name != found.name:
            raise usage(f"{found.key_path} holds the key of {cosigner.name}, not of {found.name}", field="name")
    vkey = cosigner.verifier().vkey()
    if session.out.as_json:
        session.out.json({"name": cosigner.name, "vkey": vkey})
    else:
        session.out.line(vkey)


@witness.command(short_help="Run the witness.")
@_settings
@with_session
def run(session: Session, *, settings: Path) -> None:
    """Serve `POST /add-checkpoint` as SETTINGS says, until it is stopped.

    `GET /healthz` answers 503 while a log is silent or was caught with two histories.
    """
    del session
    import uvicorn  # noqa: PLC0415 - loads the server

    from countersign.api.app import LOOPBACK  # noqa: PLC0415 - as above
    from countersign.api.witness import make_witness_app  # noqa: PLC0415 - as above
    from countersign.bootstrap.serving import configure_logging  # noqa: PLC0415 - as above

    configure_logging()
    with _told():
        found = _load(settings)
        made = _build(found)
    stopping = threading.Event()
    threading.Thread(target=_look, args=[made, stopping], name="countersign-silence", daemon=True).start()
    try:
        uvicorn.run(
            make_witness_app(made, allowed_hosts=(*LOOPBACK, *found.allowed_hosts)),
            host=found.listen_host,
            port=found.listen_port,
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=200,
            timeout_graceful_shutdown=5,
        )
    finally:
        stopping.set()
        made.state.close()


@witness.command("ls", short_help="How far the witnesses of a broker have come.")
@with_session
def list_witnesses(session: Session) -> None:
    """Show who cosigns the broker's log, and how far each has come; exit 1 if fewer than the quorum have come to the end."""
    found = session.client.get("/witnesses")
    items: Sequence[Mapping[str, Any]] = found.get("items") or []
    if session.out.as_json:
        session.out.json(found)
    else:
        rows = [[each.get(name) for name in ("name", "size", "behind", "trouble")] for each in items]
        session.out.table(["witness", "cosigned", "behind", "trouble"], rows)
    quorum = int(found.get("quorum") or 0)
    is_met = sum(each.get("behind") == 0 for each in items) >= quorum
    click.get_current_context().exit(int(Exit.OK if is_met else Exit.FAILURE))


def _look(made: Witness, stopping: threading.Event) -> None:
    """Raise the alarm on silence though nobody asks."""
    from countersign.store.witness_state import MemoryFailed  # noqa: PLC0415 - loaded by now

    while not stopping.wait(LOOK_EVERY_S):
        with suppress(MemoryFailed):  # whoever submits is told, and so is who asks for /healthz
            made.health()


def _build(found: WitnessSettings) -> Witness:
    from countersign.auditlog.signer import load_cosigner_file  # noqa: PLC0415 - loads cryptography
    from countersign.bootstrap.clock import now  # noqa: PLC0415 - the one reading of the clock
    from countersign.service.witnessing import WatchedLog, Witness  # noqa: PLC0415 - as above
    from countersign.store.witness_state import WitnessState  # noqa: PLC0415 - as above

    try:
        cosigner = load_cosigner_file(found.key_path)
    except FileNotFoundError:
        raise usage(f"there is no key at {found.key_path}", hint="countersign witness key makes one") from None
    if cosigner.name != found.name:
        raise usage(f"{found.key_path} holds the key of {cosigner.name}, not of {found.name}", field="name")
    logs = [WatchedLog(keys=log.verifiers(), silence_s=log.silence_s) for log in found.log]
    return Witness(
        cosigner=cosigner, logs={log.origin: log for log in logs}, state=WitnessState(found.state_path), clock=now
    )


def _load(path: Path) -> WitnessSettings:
    from countersign.config.witness_file import load_witness_settings  # noqa: PLC0415 - loads pydantic

    return load_witness_settings(path)


@contextmanager
def _told() -> Iterator[None]:
    """Tell what keeps a witness from starting."""
    from countersign.auditlog.signer import KeyFileRefused  # noqa: PLC0415 - loads cryptography
    from countersign.config.problems import ConfigError  # noqa: PLC0415 - loads pydantic
    from countersign.store.witness_state import MemoryFailed  # noqa: PLC0415 - as above

    try:
        yield
    except ConfigError as error:
        raise usage(f"the settings cannot be used: {error}") from None
    except KeyFileRefused as error:
        raise usage(f"the witness's key cannot be used: {error}") from None
    except (MemoryFailed, OSError) as error:
        raise CommandFailed(f"the witness cannot start: {error}", code="unusable") from None
