"""Writing a pack: one pass over the log, which fills every file of it, and then the pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, Any

from countersign import __version__
from countersign.auditlog.checkpoint import Checkpoint, CheckpointRefused, open_checkpoint
from countersign.auditlog.meaning.detectors import Detectors
from countersign.auditlog.meaning.findings import Finding
from countersign.auditlog.merkle import leaf_hash
from countersign.auditlog.note import NotAKey, NoteRefused, read_vkey
from countersign.auditlog.ocsf import Events
from countersign.auditlog.pack.accesses import COLUMNS, Access, Accesses
from countersign.auditlog.pack.archive import LOG, Archive
from countersign.auditlog.pack.controls import CONTROLS
from countersign.auditlog.pack.growth import Growth
from countersign.auditlog.pack.pages import Pages
from countersign.auditlog.pack.populations import CHANGE_COLUMNS, Populations
from countersign.auditlog.pack.program import program_digest, program_files
from countersign.auditlog.pack.rulebooks import Rulebooks, pretty
from countersign.auditlog.pack.selection import Selection
from countersign.auditlog.pack.sheet import Sheet
from countersign.auditlog.pack.source import PackRefused, Source
from countersign.auditlog.proof import SUFFIX, LogProof
from countersign.auditlog.tiles import WIDTH, Tile, encode_bundle, handover_path

MANIFEST = "manifest.json"
SCHEMA = 1
_decode = json.JSONDecoder().raw_decode
EVENTS_IN_ONE = 4_000
FINDINGS_ON_PAGE = 100


def write_pack(
    source: Source, selection: Selection, out: IO[bytes], *, handovers: Sequence[str] = ()
) -> dict[str, Any]:
    """Write a pack and return its manifest.

    Args:
        source: the log, as far as its checkpoint covers it.
        selection: what is reported on.
        out: where the archive goes; must seek.
        handovers: the checkpoints by which one key of the log brought in the next.

    Raises:
        PackRefused: the checkpoint is not signed by the log's key, or the entries are not those that it covers.
    """
    checkpoint = _opened(source)
    with ExitStack() as held:
        archive = held.enter_context(Archive(out))
        for note in handovers:
            archive.add(f"{LOG}{handover_path(note)}", note.encode())
        return _Writer(held, archive, source, selection, checkpoint).write()


def _opened(source: Source) -> Checkpoint:
    try:
        return open_checkpoint(source.checkpoint.encode(), [read_vkey(source.vkey.strip())]).checkpoint
    except (NotAKey, NoteRefused, CheckpointRefused) as error:
        raise PackRefused(f"the checkpoint is not signed by the log's key: {error}") from error


class _Writer:
    """One pack in the making."""

    def __init__(
        self, held: ExitStack, archive: Archive, source: Source, selection: Selection, checkpoint: Checkpoint
    ) -> None:
        self._archive, self._source, self._selection, self._checkpoint = archive, source, selection, checkpoint
        self._seed = selection.seed or checkpoint.root.hex()
        self._growth = Growth(_temporary(held))
        self._files = {name: _temporary(held) for name in _SHEETS}
        sheets = {name: Sheet(file, _SHEETS[name]) for name, file in self._files.items()}
        self._sheets = sheets
        self._accesses = Accesses(selection, seed=self._seed, over=lambda each: sheets["grants.csv"].row(*each.row()))
        self._populations = Populations(selection, sheets["changes.csv"].row)
        self._detectors, self._rulebooks = Detectors(), Rulebooks()
        self._events, self._parts = Events(checkpoint.origin), 0
        self._waiting: list[str] = []
        self._inside: tuple[int, int] | None = None

    def write(self) -> dict[str, Any]:
        """Fill the archive."""
        for start, leaves in _bundles(self._source, self._checkpoint.size):
            self._bundle(start, leaves)
        if (self._growth.size, self._growth.root()) != (self._checkpoint.size, self._checkpoint.root):
            raise PackRefused("the entries are not those that the checkpoint covers")
        for tile, hashes in self._growth.upper_tiles():
            self._archive.add(f"{LOG}{tile.path()}", hashes, packed=False)
        self._archive.add(f"{LOG}checkpoint", self._source.checkpoint.encode())
        self._accesses.finish()
        self._end_events()
        self._key()
        self._sheets_and_rules()
        sample = list(self._accesses.sample())
        self._sample(sample)
        self._index(sample)
        return self._manifest()

    def _bundle(self, start: int, leaves: Sequence[bytes]) -> None:
        hashes = [leaf_hash(leaf) for leaf in leaves]
        self._growth.add(hashes)
        bundle = Tile(level=None, index=start // WIDTH, width=len(leaves))
        tile = Tile(level=0, index=bundle.index, width=bundle.width)
        self._archive.add(f"{LOG}{bundle.path()}", encode_bundle(leaves))
        self._archive.add(f"{LOG}{tile.path()}", b"".join(hashes), packed=False)
        for index, (leaf, hashed) in enumerate(zip(leaves, hashes, strict=True), start):
            self._entry(index, leaf, hashed)

    def _entry(self, index: int, leaf: bytes, hashed: bytes) -> None:
        try:
            text = leaf.decode()
            fact, end = _decode(text)
            if end != len(text):
                raise ValueError("more than one value")  # noqa: TRY301 - told with the others, by its entry
            self._populations.feed(index, fact)
            self._accesses.feed(index, fact, leaf)
            self._detectors.feed(index, fact)
            if fact["type"].startswith("rulebook."):
                for name, raw in self._rulebooks.feed(index, fact):
                    self._archive.add(name, raw)
            if self._selection.covers(fact["at"]):
                self._inside = (self._inside or (index, index))[0], index
                self._event(self._events.event(index, fact, text, hashed.hex()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PackRefused(
                f"entry {index} is not what an entry of its type says; verify the log: {error}"
            ) from error

    def _event(self, event: str) -> None:
        self._waiting.append(event)
        if len(self._waiting) == EVENTS_IN_ONE:
            self._end_events()

    def _end_events(self) -> None:
        if self._waiting or not self._parts:
            lines = "".join(f"{event}\n" for event in self._waiting)
            self._archive.add(f"events/{self._parts:06d}.ndjson", lines.encode())
            self._waiting, self._parts = [], self._parts + 1

    def _key(self) -> None:
        vkey = self._source.vkey.strip()
        self._archive.add("log.vkey", f"{vkey}\n".encode())
        self._archive.add("policy.txt", f"log {vkey}\nquorum none\n".encode())

    def _sheets_and_rules(self) -> None:
        for row in self._populations.rows():
            self._sheets["populations.csv"].row(*row)
        for each in self._findings():
            self._sheets["findings.csv"].row(each.index, each.severity.value, each.code, each.detail)
        for name, sheet in self._sheets.items():
            sheet.finish()
            self._files[name].seek(0)
            self._archive.copy(name, self._files[name])
        self._archive.add("rulebooks/in-force.json", self._rulebooks.in_force())

    def _findings(self) -> list[Finding]:
        if self._inside is None:
            return []
        first, last = self._inside
        return [each for each in self._detectors.finish() if first <= each.index <= last]

    def _sample(self, sample: Iterable[Access]) -> None:
        pages = Pages()
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
            page = pages.render(
                "grant.html",
                access=access,
                origin=self._checkpoint.origin,
                entries=[(index, fact) for index, _, fact in access.entries],
                parameters=sorted(asked["data"]["statement"]["parameters"].items()),
                reason=None if reason is None else reason[1],
                reason_bound=asked["data"]["reason"],
            )
            self._archive.add(f"grants/{access.grant}.html", page)
            for index, leaf, _ in access.entries:
                proof = LogProof(
                    index=index, hashes=tuple(self._growth.inclusion(index)), checkpoint=self._source.checkpoint
                )
                self._archive.add(f"proofs/{access.grant}/{index}{SUFFIX}", proof.encode())
                self._archive.add(f"proofs/{access.grant}/{index}.json", leaf)
        self._archive.add("openings.json", pretty(openings))

    def _index(self, sample: Sequence[Access]) -> None:
        findings = self._findings()
        links = {each: each for row in CONTROLS for each in row.artefacts}
        links |= {"events/": "events/000000.ndjson", "rulebooks/": "rulebooks/in-force.json"}
        links |= {"grants/": f"grants/{sample[0].grant}.html" if sample else "grants.csv"}
        first = sample[0].entries[0][0] if sample else 0
        links |= {"proofs/": f"proofs/{sample[0].grant}/{first}{SUFFIX}" if sample else "log/checkpoint"}
        page = Pages().render(
            "index.html",
            origin=self._checkpoint.origin,
            size=self._checkpoint.size,
            root=self._checkpoint.root.hex(),
            first_at=self._populations.first_at,
            last_at=self._populations.last_at,
            selection=self._selection.document(),
            seed=self._seed,
            version=__version__,
            logic=program_digest(),
            populations=list(self._populations.rows()),
            accesses=self._accesses,
            changes=sorted(self._populations.changes.items()),
            self_attempts=self._populations.self_attempts,
            findings=findings[:FINDINGS_ON_PAGE],
            finding_count=len(findings),
            sampled=sample,
            controls=CONTROLS,
            links=links,
        )
        self._archive.add("index.html", page)

    def _manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = {
            "schema": SCHEMA,
            "origin": self._checkpoint.origin,
            "size": self._checkpoint.size,
            "root": self._checkpoint.root.hex(),
            "selection": self._selection.document(),
            "seed": self._seed,
            "program": {"version": __version__, "digest": program_digest(), "files": program_files()},
            "files": dict(sorted(self._archive.digests.items())),
        }
        self._archive.add(MANIFEST, pretty(manifest))
        return manifest


_SHEETS = {
    "grants.csv": COLUMNS,
    "changes.csv": CHANGE_COLUMNS,
    "populations.csv": ("population", "type", "in_log", "in_period"),
    "findings.csv": ("entry", "severity", "code", "detail"),
}


def _temporary(held: ExitStack) -> IO[bytes]:
    return held.enter_context(TemporaryFile(prefix="countersign-pack-"))


def _bundles(source: Source, size: int) -> Iterator[tuple[int, list[bytes]]]:
    leaves, start = iter(source.leaves(0, size)), 0
    while start < size and (block := list(islice(leaves, min(WIDTH, size - start)))):
        yield start, block
        start += len(block)
