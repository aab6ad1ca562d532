"""Where a log to be verified comes from: an export, a folder of tiles, a live broker, or its database."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from countersign.auditlog.anchors import Head
from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.cosigned import CosignCheck
from countersign.auditlog.leaf import Entry
from countersign.auditlog.meaning import Genesis, MeaningCheck
from countersign.auditlog.meaning.tiles import replay_directory
from countersign.auditlog.note import CosignatureVerifier, NotAKey, Verifier, read_vkey
from countersign.auditlog.report import Report
from countersign.auditlog.tiles import BadTile, LogDirectory
from countersign.auditlog.verify import verify_entries
from countersign.cli.client import Client
from countersign.cli.exported import CHECKPOINT, ENTRIES, Exported, read_chunks, split_lines
from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.config.catalog import load_catalog
from countersign.config.problems import ConfigError

LARGEST_NOTE = 1_000_000
PROCESSES = min(os.cpu_count() or 1, 4)
"""How many processes a long log may have."""
LONGEST_QUOTED = 60


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What the one who verifies brings along.

    Attributes:
        verifiers: public keys that he trusts.
        checkpoints: signed notes that he kept from earlier.
        meaning: the replay that judges what the entries say; None to judge bytes only.
        cosigned: what he demands of witnesses; None to demand nothing of them.
    """

    verifiers: Sequence[Verifier]
    checkpoints: Sequence[str]
    meaning: MeaningCheck | None = None
    cosigned: CosignCheck | None = None

    def with_found(self, note: str | None) -> list[str]:
        """Return his own checkpoints and the one that came with the log; without a key none says anything."""
        found = [] if note is None else [note]
        return [*self.checkpoints, *found] if self.verifiers else []

    def verify(
        self, entries: Iterable[Entry], *, head: Head | None, found: str | None, handovers: Sequence[str] = ()
    ) -> Report:
        """Verify entries, their bytes and what they mean, against what came with the log."""
        if self.cosigned is not None:
            entries = self.cosigned.watch(entries)
        report = verify_entries(
            entries,
            head=head,
            checkpoints=self.with_found(found),
            verifiers=self.verifiers,
            handovers=handovers if self.verifiers else (),
            reader=self.meaning,
        )
        report = self.demand_cosigned(report, found)
        return report if self.meaning is None else self.meaning.joined(report)

    def demand_cosigned(self, report: Report, found: str | None) -> Report:
        """Return the report with what the witnesses that he trusts do not vouch for."""
        if self.cosigned is None:
            return report
        keys = [*self.verifiers, *(change.verifier for change in report.keys)]
        return self.cosigned.judged(report, checkpoints=self.with_found(found), verifiers=keys)


def read_trust(
    keys: Sequence[str],
    checkpoints: Sequence[Path],
    *,
    witness_keys: Sequence[str] = (),
    witness_quorum: int | None = None,
    meaning: MeaningCheck | None = None,
) -> Trust:
    """Read keys, each as text or as the file that holds it, and checkpoint files.

    Args:
        keys: of the log.
        checkpoints: signed notes that were kept.
        witness_keys: of witnesses that are trusted.
        witness_quorum: how many of them must vouch; all, where it is not said.
        meaning: the replay to be used.

    Raises:
        CommandFailed: something is no key or cannot be read, there are checkpoints or witnesses but no key, or fewer witnesses
            than the quorum.
    """
    if (witness_keys or witness_quorum is not None) and not keys:
        raise usage("witnesses vouch for a log that somebody signed; say whose key it is", field="--key")
    quorum = len(witness_keys) if witness_quorum is None else witness_quorum
    if quorum > len(witness_keys) or (witness_keys and quorum < 1):
        raise usage(f"{quorum} of {len(witness_keys)} witnesses is no quorum", field="--witness-quorum")
    if checkpoints and not keys:
        raise usage("a checkpoint says nothing without the key that signed it", field="--key")
    return Trust(
        verifiers=[_key(given) for given in keys],
        checkpoints=[read_text(path, "--checkpoint") for path in checkpoints],
        meaning=meaning,
        cosigned=CosignCheck(witnesses=[_witness_key(given) for given in witness_keys], quorum=quorum)
        if witness_keys
        else None,
    )


def read_genesis(path: Path) -> Genesis:
    """Return the first rules as a catalog file says them.

    Raises:
        CommandFailed: it cannot be read, or is no catalog.
    """
    try:
        _, catalog = load_catalog(path)
    except ConfigError as wrong:
        raise usage(f"{path} is no catalog:\n{wrong}", field="--catalog") from None
    return Genesis(catalog=catalog.digest, passkeys=catalog.trust.passkeys)


def _witness_key(given: str) -> CosignatureVerifier:
    verifier = _key(given, "--witness-key")
    if not isinstance(verifier, CosignatureVerifier):
        raise usage("that is a log's key, not a witness's", field="--witness-key")
    return verifier


def _key(given: str, field: str = "--key") -> Verifier:
    is_text = given.count("+") >= 2  # noqa: PLR2004 - name+id+key
    if not is_text and not Path(given).is_file():
        raise usage(
            f"{given[:LONGEST_QUOTED]!r} is neither a verifier key (name+id+key) nor a file that holds one",
            hint="the log's key: curl $COUNTERSIGN_URL/log/key, compared with what you were given out of band",
            field=field,
        )
    text = given if is_text else read_text(Path(given), field)
    try:
        return read_vkey(text.strip())
    except NotAKey as error:
        where = "that" if is_text else given
        raise usage(f"{where} holds no verifier key (name+id+key): {error}", field=field) from None


def read_text(path: Path, field: str) -> str:
    """Return a small text file.

    Raises:
        CommandFailed: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_NOTE).decode("utf-8")
    except OSError as error:
        raise usage(f"{path} cannot be read: {error.strerror}", field=field) from None
    except UnicodeDecodeError:
        raise usage(f"{path} is no text", field=field) from None


def verify_path(path: Path, trust: Trust) -> Report:
    """Verify an export (a file, or a folder as `countersign export` writes it), a folder of tiles or an evidence pack.

    Raises:
        CommandFailed: there is none.
    """
    packed = path.is_file() and zipfile.is_zipfile(path)
    if packed or (path / "tile").is_dir():
        if not trust.verifiers:
            raise usage("tiles and packs are verified against their checkpoint, which needs --key", field="--key")
        if packed:
            return _verify_pack(path, trust)
        try:
            return _verify_tiles(LogDirectory(path), trust)
        except ChildProcessError as error:
            raise CommandFailed(
                str(error), code="broken-off", hint="nothing was verified; is there enough memory? Then once more"
            ) from None
    entries, note = (path / ENTRIES, path / CHECKPOINT) if path.is_dir() else (path, None)
    if not entries.is_file():
        raise usage(f"there is no exported log at {path}", field="PATH")
    found = read_text(note, "PATH") if note is not None and note.is_file() else None
    exported = Exported(lines=split_lines(read_chunks(entries)))
    try:
        handed = LogDirectory(path).handovers() if path.is_dir() else []
        return exported.finished(trust.verify(exported.entries(), head=None, found=found, handovers=handed))
    except OSError as error:
        raise CommandFailed(f"{entries} cannot be read: {error.strerror}", code="unreadable") from None


def verify_live(client: Client, trust: Trust) -> Report:
    """Verify what a broker serves, as it arrives. The checkpoint is fetched first: entries may be added meanwhile, not lost.

    Raises:
        CommandFailed: the broker refuses, cannot be reached, or breaks off.
    """
    found = newest_checkpoint(client)
    handed = handovers(client)
    exported = Exported(lines=split_lines(client.stream("/audit/export")))
    return exported.finished(trust.verify(exported.entries(), head=None, found=found, handovers=handed))


def _verify_pack(path: Path, trust: Trust) -> Report:
    from countersign.auditlog.pack import verify_pack  # noqa: PLC0415 - loads what renders pages

    with path.open("rb") as file:
        report = verify_pack(
            file,
            verifiers=trust.verifiers,
            checkpoints=trust.checkpoints,
            meaning=trust.meaning is not None,
            check=trust.meaning,
        )
    return trust.demand_cosigned(report, _checkpoint_in(path)) if report.size else report


def _checkpoint_in(pack: Path) -> str | None:
    with suppress(KeyError, OSError, EOFError, zipfile.BadZipFile), zipfile.ZipFile(pack) as archive:
        return archive.read("log/checkpoint").decode("utf-8", "replace")
    return None  # said already, in the report


def _verify_tiles(log: LogDirectory, trust: Trust) -> Report:
    report = verify_directory(
        log,
        checkpoints=trust.checkpoints,
        verifiers=trust.verifiers,
        processes=PROCESSES,
        spelling=trust.meaning is not None,
    )
    report = trust.demand_cosigned(report, _own_checkpoint(log))
    if trust.meaning is None:
        return report
    replay_directory(log, report.size, trust.meaning, processes=PROCESSES)
    return trust.meaning.joined(report)


def _own_checkpoint(log: LogDirectory) -> str | None:
    try:
        return log.checkpoint().decode("utf-8", "replace")
    except BadTile:
        return None  # said already, in the report


def handovers(client: Client) -> list[str]:
    """Return the checkpoints by which the log's keys were handed over, smallest first."""
    return [str(each["note"]) for each in client.get("/log/keys")["handovers"]]


def newest_checkpoint(client: Client) -> str | None:
    """Return the broker's newest checkpoint, or None before the first."""
    try:
        return client.text("/log/checkpoint")
    except CommandFailed as failed:
        if failed.exit_code is Exit.OVER:
            return None
        raise
