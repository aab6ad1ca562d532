"""Verifying a pack: files by their digests, the log by itself, proofs and texts by the log, the report by making it anew."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from countersign.auditlog.bulk import verify_directory
from countersign.auditlog.leaf import Leaf, NotALeaf
from countersign.auditlog.meaning import MeaningCheck
from countersign.auditlog.merkle import ProofRefused
from countersign.auditlog.note import NotAKey, NoteRefused, Verifier, read_vkey
from countersign.auditlog.openings import check_opening
from countersign.auditlog.pack import reconciled as reconciliation
from countersign.auditlog.pack.archive import LOG
from countersign.auditlog.pack.program import program_digest
from countersign.auditlog.pack.reconciled import RECONCILED
from countersign.auditlog.pack.selection import Selection
from countersign.auditlog.pack.source import Opening, PackRefused
from countersign.auditlog.pack.write import MANIFEST, write_pack
from countersign.auditlog.proof import SUFFIX, LogProof, verify_proof
from countersign.auditlog.report import Failure, Report
from countersign.auditlog.tiles import HANDOVERS, WIDTH, BadTile, LogDirectory

_LARGEST_SMALL = 64 << 20
_AT_ONCE = 1 << 20


def verify_pack(
    file: IO[bytes],
    *,
    verifiers: Sequence[Verifier],
    checkpoints: Sequence[str] = (),
    meaning: bool = True,
    check: MeaningCheck | None = None,
) -> Report:
    """Verify a pack offline.

    Failures that concern a file and no entry have the code `pack-…`: `pack-format` (it cannot be read), `pack-file` (a file is
    missing, added or changed), `pack-proof`, `pack-text` (a text does not open its commitment), `pack-report` (the report is
    not what the log gives), `pack-reconciliation` (what an auditor put into it does not hold) and `pack-program` (it was
    written by another program, so the report could not be made anew).

    Args:
        file: the archive; must seek.
        verifiers: keys that are trusted for the log. The one in the pack counts for nothing.
        checkpoints: signed notes that were kept from elsewhere.
        meaning: replay what the entries say as well.
        check: the replay to be used, if it is to be a certain one.
    """
    try:
        pack = _Pack.opened(file)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
        detail = f"not a pack: {type(error).__name__}: {error}"
        return Report(size=0, root=b"", failures=(Failure(index=None, code="pack-format", detail=detail),))
    check = check or MeaningCheck()
    report = verify_directory(pack.log, checkpoints=checkpoints, verifiers=verifiers)
    if meaning:
        for index, leaf in enumerate(pack.leaves(0, report.size)):
            check.read(index, leaf)
        report = check.joined(report)
    wrong = [*pack.changed_files(), *pack.wrong_proofs(), *pack.wrong_texts(report.size), *pack.wrong_report(report)]
    if reconciliation.holds_one(pack.archive):
        leases = reconciliation.leases_of(pack.leaves(0, report.size)) if meaning else None
        found = reconciliation.wrong_in(pack.archive, log=report, leases=leases)
        wrong += [_wrong("pack-reconciliation", detail) for detail in found]
    return replace(report, failures=(*report.failures, *wrong))


@dataclass(frozen=True, slots=True)
class _ZippedLog(LogDirectory):
    """A log within an archive."""

    archive: zipfile.ZipFile = field(kw_only=True)

    def _read(self, path: str) -> bytes:
        return _small(self.archive, f"{LOG}{path}")

    def _handovers(self) -> list[str]:
        below = f"{LOG}{HANDOVERS}/"
        return sorted(name.removeprefix(below) for name in self.archive.NameToInfo if name.startswith(below))

    def holds(self, tile: Any) -> bool:  # noqa: ANN401 - as the folder's
        names = self.archive.NameToInfo
        return any(f"{LOG}{one.path()}" in names for one in (tile, tile.full()))


@dataclass(frozen=True, kw_only=True)
class _Pack:
    """An opened archive and what its manifest says."""

    archive: zipfile.ZipFile
    manifest: dict[str, Any]
    selection: Selection
    openings: dict[str, dict[str, dict[str, str]]]

    @classmethod
    def opened(cls, file: IO[bytes]) -> _Pack:
        archive = zipfile.ZipFile(file)
        manifest = json.loads(_small(archive, MANIFEST))
        return cls(
            archive=archive,
            manifest=manifest,
            selection=Selection.of(manifest["selection"]),
            openings=json.loads(_small(archive, "openings.json")),
        )

    @property
    def log(self) -> _ZippedLog:
        return _ZippedLog(Path(), archive=self.archive)

    @property
    def checkpoint(self) -> str:
        return _small(self.archive, f"{LOG}checkpoint").decode()

    @property
    def vkey(self) -> str:
        return _small(self.archive, "log.vkey").decode()

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, WIDTH):
            try:
                yield from self.log.leaves(at // WIDTH, min(WIDTH, end - at))
            except BadTile:
                return  # said already, of the bundle itself

    def opening(self, index: int) -> Opening:
        found = self.openings.get(str(index), {})
        return {name: (bytes.fromhex(each["salt"]), each["text"]) for name, each in found.items()}

    def changed_files(self) -> Iterator[Failure]:
        names = self.archive.namelist()
        listed = self.manifest["files"]
        there = {name for name in names if not name.startswith((LOG, RECONCILED)) and name != MANIFEST}
        if len(set(names)) != len(names):
            yield _wrong("pack-file", "a file stands twice in the archive")
        for name in sorted(there ^ listed.keys()):
            yield _wrong("pack-file", f"{name} is {'not listed' if name in there else 'missing'}")
        for name in sorted(there & listed.keys()):
            said = listed[name]
            if self._digest(name, int(said["bytes"])) != said["sha256"]:
                yield _wrong("pack-file", f"{name} was changed")

    def wrong_proofs(self) -> Iterator[Failure]:
        try:
            key = read_vkey(self.vkey.strip())
        except (NotAKey, KeyError, BadTile, UnicodeDecodeError):
            yield _wrong("pack-file", "log.vkey holds no key")
            return
        # The pack's own key: whether it is the right one, the checkpoint is asked with the keys that somebody brought along.
        for name in self.archive.namelist():
            if name.startswith("proofs/") and name.endswith(SUFFIX):
                try:
                    leaf = _small(self.archive, name.removesuffix(SUFFIX) + ".json")
                    verify_proof(LogProof.decode(_small(self.archive, name)), leaf, log=key)
                except (ProofRefused, NoteRefused, ValueError, KeyError) as error:
                    yield _wrong("pack-proof", f"{name}: {error}")

    def wrong_texts(self, size: int) -> Iterator[Failure]:
        for index, found in self.openings.items():
            try:
                at = int(index)
                bundle = self.log.leaves(at // WIDTH, min(WIDTH, size - at // WIDTH * WIDTH))
                said = Leaf.decode(bundle[at % WIDTH]).data
                fits = all(
                    check_opening(str(said.get(name)), bytes.fromhex(each["salt"]), each["text"])
                    for name, each in found.items()
                )
            except (NotALeaf, BadTile, LookupError, TypeError, ValueError):
                fits = False
            if not fits:
                yield Failure(
                    index=None, code="pack-text", detail=f"a text of entry {index} is not the one it commits to"
                )

    def wrong_report(self, report: Report) -> Iterator[Failure]:
        """Make the report anew from the pack's own log, and compare every file of it."""
        said = self.manifest["program"]["digest"]
        if said != program_digest():
            version = self.manifest["program"].get("version")
            detail = f"written by another version of the program ({version}); install that one to compare"
            yield _wrong("pack-program", detail)
            return
        if report.failures:
            return  # of a log that does not verify no report is worth making
        try:
            with TemporaryFile(prefix="countersign-pack-") as again:
                made = write_pack(self, self.selection, again)
        except PackRefused as refused:
            yield _wrong("pack-report", str(refused))
            return
        for name in ("origin", "size", "root", "seed", "selection", "files"):
            if made[name] != self.manifest.get(name):
                changed = sorted(_differing(made[name], self.manifest.get(name))) if name == "files" else [name]
                yield _wrong("pack-report", f"made anew from this log, {', '.join(changed[:5])} would be otherwise")

    def _digest(self, name: str, size: int) -> str:
        """Digest a file, and no more of it than it should have."""
        made, left = hashlib.sha256(), size + 1
        try:
            with self.archive.open(name) as member:
                while left > 0 and (raw := member.read(min(_AT_ONCE, left))):
                    made.update(raw)
                    left -= len(raw)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError):
            return "unreadable"
        return made.hexdigest()


def _differing(made: dict[str, Any], said: Any) -> Iterable[str]:  # noqa: ANN401 - whatever a manifest says
    there = said if isinstance(said, dict) else {}
    return (name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def _small(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a file of bounded size.

    Raises:
        BadTile: it is missing, cut or too large.
    """
    try:
        with archive.open(name) as member:
            raw = member.read(_LARGEST_SMALL + 1)
    except (KeyError, zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise BadTile(f"{name} cannot be read: {error}") from error
    if len(raw) > _LARGEST_SMALL:
        raise BadTile(f"{name} is too large")
    return raw


def _wrong(code: str, detail: str) -> Failure:
    return Failure(index=None, code=code, detail=detail)
