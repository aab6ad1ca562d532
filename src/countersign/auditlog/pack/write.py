"""Writing a pack: one pass over the log, which takes it down and gathers what it tells, then the pages, then the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import islice
from typing import IO, Any

from countersign import __version__
from countersign.auditlog.checkpoint import Checkpoint, CheckpointRefused, open_checkpoint
from countersign.auditlog.note import NotAKey, NoteRefused, read_vkey
from countersign.auditlog.pack.accesses import Access
from countersign.auditlog.pack.archive import LOG, Piece, join, new_piece
from countersign.auditlog.pack.beside import beside
from countersign.auditlog.pack.controls import CONTROLS
from countersign.auditlog.pack.pages import Pages
from countersign.auditlog.pack.program import program_digest, program_files
from countersign.auditlog.pack.rulebooks import pretty
from countersign.auditlog.pack.selection import Selection
from countersign.auditlog.pack.source import PackRefused, Source
from countersign.auditlog.pack.told import Told
from countersign.auditlog.pack.transcript import BLOCK, Outline, Proofs, Transcribing, here
from countersign.auditlog.proof import SUFFIX, LogProof
from countersign.auditlog.tiles import handover_path

MANIFEST = "manifest.json"
SCHEMA = 1
LONG = 50_000
"""From so many entries on another process pays, which takes down the log while this one reads it."""
FINDINGS_ON_PAGE = 100


def write_pack(
    source: Source, selection: Selection, out: IO[bytes], *, handovers: Sequence[str] = ()
) -> dict[str, Any]:
    """Write a pack and return its manifest.

    Args:
        source: the log, as far as its checkpoint covers it.
        selection: what is reported on.
        out: where the archive goes.
        handovers: the checkpoints by which one key of the log brought in the next.

    Raises:
        PackRefused: the checkpoint is not signed by the log's key, or the entries are not those that it covers.
        OSError: files for what is being made cannot be written, or the process that takes down a long log is gone.
    """
    checkpoint = _opened(source)
    begin: Callable[[str, Selection], AbstractContextManager[Transcribing]] = (
        beside if checkpoint.size >= LONG else here
    )
    with ExitStack() as held:
        transcript = held.enter_context(begin(checkpoint.origin, selection))
        piece = held.enter_context(new_piece())
        for note in handovers:
            piece.add(f"{LOG}{handover_path(note)}", note.encode())
        writer = _Writer(held, piece, source, selection, checkpoint)
        outline = writer.read(transcript)
        manifest = writer.report(transcript, outline)
        join(out, [(outline.contents, transcript.opened()), (piece.contents(), piece.opened())])
    return manifest


def _opened(source: Source) -> Checkpoint:
    try:
        return open_checkpoint(source.checkpoint.encode(), [read_vkey(source.vkey.strip())]).checkpoint
    except (NotAKey, NoteRefused, CheckpointRefused) as error:
        raise PackRefused(f"the checkpoint is not signed by the log's key: {error}") from error


class _Writer:
    """One pack in the making: all of it but the log and the events, which the transcript holds."""

    def __init__(
        self, held: ExitStack, piece: Piece, source: Source, selection: Selection, checkpoint: Checkpoint
    ) -> None:
        self._piece, self._source, self._selection, self._checkpoint = piece, source, selection, checkpoint
        self._seed = selection.seed or checkpoint.root.hex()
        self._told = Told(held, piece, selection, seed=self._seed)
        self._pages = Pages()

    def read(self, transcript: Transcribing) -> Outline:
        """Pass over the log once."""
        for start, leaves in _blocks(self._source, self._checkpoint.size):
            transcript.write(leaves)
            self._told.feed(start, leaves)
        outline = transcript.finish()
        if (outline.size, outline.root) != (self._checkpoint.size, self._checkpoint.root):
            raise PackRefused("the entries are not those that the checkpoint covers")
        return outline

    def report(self, transcript: Transcribing, outline: Outline) -> dict[str, Any]:
        """Write what was told: tables and rules, the sample with its proofs, the report, the manifest."""
        self._key()
        self._told.finish()
        sample = list(self._told.accesses.sample())
        self._sample(sample, transcript.proofs([index for access in sample for index, _, _ in access.entries]))
        self._index(sample)
        return self._manifest(outline)

    def _key(self) -> None:
        vkey = self._source.vkey.strip()
        self._piece.add(f"{LOG}checkpoint", self._source.checkpoint.encode())
        self._piece.add("log.vkey", f"{vkey}\n".encode())
        self._piece.add("policy.txt", f"log {vkey}\nquorum none\n".encode())

    def _sample(self, sample: Sequence[Access], proofs: Proofs) -> None:
        openings: dict[str, Any] = {}
        for access in sample:
            texts = {index: self._source.opening(index) for index, _, _ in access.entries}
            openings |= {
                str(index): {name: {"salt": salt.hex(), "text": text} for name, (salt, text) in sorted(found.items())}
                for index, found in texts.items()
                if found
            }
            first, _, asked = access.entries[0]
            reason = texts[first].get("reason")
            page = self._pages.render(
                "grant.html",
                access=access,
                origin=self._checkpoint.origin,
                entries=[(index, fact) for index, _, fact in access.entries],
                parameters=sorted(asked["data"]["statement"]["parameters"].items()),
                reason=None if reason is None else reason[1],
                reason_bound=asked["data"]["reason"],
            )
            self._piece.add(f"grants/{access.grant}.html", page)
            for index, leaf, _ in access.entries:
                proof = LogProof(index=index, hashes=proofs[index], checkpoint=self._source.checkpoint)
                self._piece.add(f"proofs/{access.grant}/{index}{SUFFIX}", proof.encode())
                self._piece.add(f"proofs/{access.grant}/{index}.json", leaf)
        self._piece.add("openings.json", pretty(openings))

    def _index(self, sample: Sequence[Access]) -> None:
        told, findings = self._told, self._told.findings
        page = self._pages.render(
            "index.html",
            origin=self._checkpoint.origin,
            size=self._checkpoint.size,
            root=self._checkpoint.root.hex(),
            first_at=told.populations.first_at,
            last_at=told.populations.last_at,
            selection=self._selection.document(),
            seed=self._seed,
            version=__version__,
            logic=program_digest(),
            populations=list(told.populations.rows()),
            accesses=told.accesses,
            changes=sorted(told.populations.changes.items()),
            self_attempts=told.populations.self_attempts,
            findings=findings[:FINDINGS_ON_PAGE],
            finding_count=len(findings),
            sampled=sample,
            controls=CONTROLS,
            links=_links(sample),
        )
        self._piece.add("index.html", page)

    def _manifest(self, outline: Outline) -> dict[str, Any]:
        manifest: dict[str, Any] = {
            "schema": SCHEMA,
            "origin": self._checkpoint.origin,
            "size": self._checkpoint.size,
            "root": self._checkpoint.root.hex(),
            "selection": self._selection.document(),
            "seed": self._seed,
            "program": {"version": __version__, "digest": program_digest(), "files": program_files()},
            "files": dict(sorted((outline.contents.digests | self._piece.digests).items())),
        }
        self._piece.add(MANIFEST, pretty(manifest))
        return manifest


def _links(sample: Sequence[Access]) -> Mapping[str, str]:
    """Return which file the report opens for each artefact: of a folder one that is there."""
    links = {each: each for row in CONTROLS for each in row.artefacts}
    links |= {"events/": "events/000000.ndjson", "rulebooks/": "rulebooks/in-force.json"}
    links |= {"grants/": f"grants/{sample[0].grant}.html" if sample else "grants.csv"}
    first = sample[0].entries[0][0] if sample else 0
    return links | {"proofs/": f"proofs/{sample[0].grant}/{first}{SUFFIX}" if sample else "log/checkpoint"}


def _blocks(source: Source, size: int) -> Iterator[tuple[int, list[bytes]]]:
    leaves, start = iter(source.leaves(0, size)), 0
    while start < size and (block := list(islice(leaves, min(BLOCK, size - start)))):
        yield start, block
        start += len(block)
