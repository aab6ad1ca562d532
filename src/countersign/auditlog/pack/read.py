"""Verifying a pack: files by their digests, the log by itself, proofs and texts by the log, the report by making it anew."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from countersign.auditlog.pack.opened import (
    UNREADABLE,
    Manifest,
    ZippedLog,
    digest_of,
    open_archive,
    read_document,
    read_small,
)
from countersign.auditlog.pack.program import program_digest
from countersign.auditlog.pack.reconciled import RECONCILED
from countersign.auditlog.pack.selection import Selection
from countersign.auditlog.pack.source import Opening, PackRefused
from countersign.auditlog.pack.write import MANIFEST, write_pack
from countersign.auditlog.proof import SUFFIX, LogProof, verify_proof
from countersign.auditlog.report import Failure, Report
from countersign.auditlog.tiles import WIDTH, BadTile


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
    except (*UNREADABLE, TypeError, AttributeError, OverflowError) as error:
        detail = f"not a pack: {type(error).__name__}: {error}"
        return Report(size=0, root=b"", failures=(Failure(index=None, code="pack-format", detail=detail),))
    check = check or MeaningCheck()
    report = verify_directory(pack.log, checkpoints=checkpoints, verifiers=verifiers)
    if meaning:
        for index, leaf in enumerate(pack.leaves(0, report.size)):
            check.read(index, leaf)
        report = check.joined(report)
    trusted = [*verifiers, *(change.verifier for change in report.keys)]
    wrong = [*pack.changed_files(), *pack.strange_files(report), *pack.another_key(trusted), *pack.wrong_proofs()]
    wrong += list(pack.wrong_texts(report.size)) or list(pack.wrong_report(report))  # its pages show the texts
    if reconciliation.holds_one(pack.archive):
        leases = reconciliation.leases_of(pack.leaves(0, report.size)) if meaning else None
        found = reconciliation.wrong_in(pack.archive, log=report, leases=leases)
        wrong += [_wrong("pack-reconciliation", detail) for detail in found]
    return replace(report, failures=(*report.failures, *wrong))


@dataclass(frozen=True, kw_only=True)
class _Pack:
    """An opened archive and what its manifest says."""

    archive: zipfile.ZipFile
    manifest: Manifest
    selection: Selection
    openings: dict[str, Any]

    @classmethod
    def opened(cls, file: IO[bytes]) -> _Pack:
        archive = open_archive(file)
        manifest = Manifest.of(read_document(archive, MANIFEST))
        return cls(
            archive=archive,
            manifest=manifest,
            selection=Selection.of(manifest.said["selection"]),
            openings=read_document(archive, "openings.json"),
        )

    @property
    def log(self) -> ZippedLog:
        return ZippedLog(Path(), archive=self.archive)

    @property
    def checkpoint(self) -> str:
        return read_small(self.archive, f"{LOG}checkpoint").decode("utf-8", "replace")

    @property
    def vkey(self) -> str:
        return read_small(self.archive, "log.vkey").decode("utf-8", "replace")

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
        listed = self.manifest.files
        there = {name for name in names if not name.startswith((LOG, RECONCILED)) and name != MANIFEST}
        if len(set(names)) != len(names):
            yield _wrong("pack-file", "a file stands twice in the archive")
        for name in sorted(there ^ listed.keys()):
            yield _wrong("pack-file", f"{name} is {'not listed' if name in there else 'missing'}")
        for name in sorted(there & listed.keys()):
            size, said = listed[name]
            if digest_of(self.archive, name, size) != said:
                yield _wrong("pack-file", f"{name} was changed")

    def strange_files(self, report: Report) -> Iterator[Failure]:
        """Name what lies beside the log and is none of it; of a log that does not verify that is not known."""
        for name in () if report.failures else self.log.strange(report.size):
            yield _wrong("pack-file", f"{name} is no part of the log")

    def another_key(self, trusted: Sequence[Verifier]) -> Iterator[Failure]:
        """Hold the key that the pack names against those that are trusted, so that nobody takes another one from it."""
        try:
            if read_vkey(self.vkey.strip()) not in trusted:
                yield _wrong("pack-file", "log.vkey holds a key that you do not trust")
        except (NotAKey, BadTile):
            yield _wrong("pack-file", "log.vkey holds no key")

    def wrong_proofs(self) -> Iterator[Failure]:
        try:
            key = read_vkey(self.vkey.strip())
        except (NotAKey, BadTile):
            return  # said already
        # The pack's own key: whether it is the right one, the checkpoint is asked with the keys that somebody brought along.
        for name in self.archive.namelist():
            if name.startswith("proofs/") and name.endswith(SUFFIX):
                try:
                    leaf = read_small(self.archive, name.removesuffix(SUFFIX) + ".json")
                    verify_proof(LogProof.decode(read_small(self.archive, name)), leaf, log=key)
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
            except (NotALeaf, BadTile, LookupError, TypeError, ValueError, AttributeError):
                fits = False
            if not fits:
                yield Failure(
                    index=None, code="pack-text", detail=f"a text of entry {index} is not the one it commits to"
                )

    def wrong_report(self, report: Report) -> Iterator[Failure]:
        """Make the report anew from the pack's own log, and compare every file of it."""
        if self.manifest.program != program_digest():
            detail = f"written by another version of the program ({self.manifest.version}); install that one to compare"
            yield _wrong("pack-program", detail)
            return
        if report.failures:
            return  # of a log that does not verify no report is worth making
        try:
            with TemporaryFile(prefix="countersign-pack-") as again:
                made = write_pack(self, self.selection, again)
        except (PackRefused, BadTile) as refused:
            yield _wrong("pack-report", str(refused))
            return
        said = self.manifest.said
        for name in sorted(made.keys() | said.keys()):
            if made.get(name) != said.get(name):
                changed = sorted(_differing(made[name], said.get(name))) if name == "files" else [name]
                yield _wrong("pack-report", f"made anew from this log, {', '.join(changed[:5])} would be otherwise")


def _differing(made: dict[str, Any], said: Any) -> Iterable[str]:  # noqa: ANN401 - whatever a manifest says
    there = said if isinstance(said, dict) else {}
    return (name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def _wrong(code: str, detail: str) -> Failure:
    return Failure(index=None, code=code, detail=detail)
