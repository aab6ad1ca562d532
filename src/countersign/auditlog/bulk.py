"""Verification of a log that lies in a folder as tiles, at the speed of its hashes.

It checks bytes, tiles, tree and checkpoints with the codes that `verify` lists. What the leaves say is not read, and how they
are spelled only if that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

from countersign.auditlog.anchors import Anchors
from countersign.auditlog.apart import Apart
from countersign.auditlog.checkpoint import CheckpointRefused, parse_body
from countersign.auditlog.leaf import NotALeaf, read_fact
from countersign.auditlog.log_keys import MARK
from countersign.auditlog.merkle import HASH_SIZE, Frontier, perfect_root
from countersign.auditlog.note import NoteRefused, Verifier, parse_note
from countersign.auditlog.report import Failure, Findings, Report
from countersign.auditlog.tiles import HEIGHT, WIDTH, BadTile, LogDirectory, Tile, hash_bundle, split_bundle

_BUNDLES_PER_TASK = 128
WORTH_IT = 250_000
"""Entries from which on other processes are worth their start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Block:
    """One bundle, hashed: its compact range (none if it cannot be read), what was wrong with it, and its entries about rules."""

    index: int
    range: Frontier | None
    failures: tuple[Failure, ...]
    rules: tuple[tuple[int, bytes], ...] = ()


def verify_directory(
    log: LogDirectory,
    *,
    checkpoints: Sequence[str],
    verifiers: Sequence[Verifier],
    processes: int = 1,
    spelling: bool = False,
) -> Report:
    """Verify as many entries as the folder's own checkpoint covers.

    Args:
        log: the folder; its checkpoint counts as checkpoint #0.
        checkpoints: signed notes from elsewhere, #1 and on. One that covers more than the folder's finds it truncated.
        verifiers: keys that are trusted for the log, whose name is its origin, and for witnesses.
        processes: how many hash; more than one only if the log is long enough to be worth their start.
        spelling: whether each leaf must be spelled as one (`leaf-format`); for whoever goes on to read what they say.

    Raises:
        ChildProcessError: one of the processes ended by itself.
    """
    findings = Findings()
    try:
        raw = log.checkpoint()
    except BadTile as error:
        findings.add(None, "checkpoint-format", str(error))
        raw = b""
    own = [raw.decode("utf-8", "replace")] if raw else []
    anchors = Anchors(
        head=None,
        checkpoints=[*own, *checkpoints],
        verifiers=verifiers,
        findings=findings,
        handovers=log.handovers(),
    )
    tree, upper = Frontier(), _UpperTiles(log, findings)
    anchors.meet(0, tree.root)
    for block in _blocks(_Hashing(log=log, size=_claimed_size(raw), spelling=spelling), processes):
        for failure in block.failures:
            findings.add(failure.index, failure.code, failure.detail)
        if block.range is None:
            break
        _meet_within(block, tree, anchors, log)
        if block.range.size == WIDTH:
            tree = tree.append_perfect(block.range.root(), height=HEIGHT)
            upper.add(1, block.range.root())
        else:
            tree = Frontier(size=tree.size + block.range.size, peaks=tree.peaks + block.range.peaks)
        for index, leaf in block.rules:
            anchors.read(index, leaf)
        anchors.meet(tree.size, tree.root)
    else:
        upper.finish()
    anchors.finish(tree.size)
    return findings.report(size=tree.size, root=tree.root(), keys=anchors.key_changes)


def _claimed_size(raw: bytes) -> int:
    """The size that a checkpoint names, signed or not: how far to read. What it is worth is judged by the anchors."""
    try:
        return parse_body(parse_note(raw).text).size
    except (NoteRefused, CheckpointRefused):
        return 0


def _blocks(hashing: _Hashing, processes: int) -> Iterator[_Block]:
    if processes == 1 or hashing.size < WORTH_IT:
        yield from map(hashing.block, range(-(-hashing.size // WIDTH)))
        return
    with ExitStack() as held:
        others = [held.enter_context(Apart(partial(hashing.share, each, processes))) for each in range(processes)]
        for _, other in zip(hashing.tasks(), cycle(others), strict=False):
            yield from other.result()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hashing:
    """What is done with each bundle, in whichever process."""

    log: LogDirectory
    size: int
    spelling: bool

    def tasks(self) -> Iterator[range]:
        """Cut the bundles into tasks, up to the first that is not all there: a size nobody vouched for may be any number."""
        end = -(-self.size // WIDTH)
        for start in range(0, end, _BUNDLES_PER_TASK):
            task = range(start, min(start + _BUNDLES_PER_TASK, end))
            yield task
            if not self.log.holds(Tile(level=None, index=task[-1])) and task[-1] != end - 1:
                return

    def share(self, which: int, of: int) -> Iterator[list[_Block]]:
        """Do every so-manieth task."""
        for bundles in islice(self.tasks(), which, None, of):
            yield [self.block(index) for index in bundles]

    def block(self, index: int) -> _Block:
        start = index * WIDTH
        width = min(WIDTH, self.size - start)
        try:
            raw, held = self.log.bundle(index, width)
            hashes = hash_bundle(raw, held)[:width]
        except BadTile as error:
            failure = Failure(index=start, code="bundle-format", detail=str(error))
            return _Block(index=index, range=None, failures=(failure,))
        leaves = split_bundle(raw, held)[:width] if self.spelling or MARK in raw else []
        rules = tuple((start + at, leaf) for at, leaf in enumerate(leaves) if MARK in leaf)
        failures = [*self._compared(index, hashes), *(_misspelt(start, leaves) if self.spelling else ())]
        frontier = Frontier(size=WIDTH, peaks=(perfect_root(hashes),)) if width == WIDTH else Frontier.of(hashes)
        return _Block(index=index, range=frontier, failures=tuple(failures), rules=rules)

    def _compared(self, index: int, hashes: Sequence[bytes]) -> Iterator[Failure]:
        start = index * WIDTH
        try:
            stored = self.log.hashes(Tile(level=0, index=index, width=len(hashes)))
        except BadTile as error:
            yield Failure(index=start, code="tile-format", detail=str(error))
            return
        if stored != b"".join(hashes):
            yield from _edited(start, hashes, stored)


def _misspelt(start: int, leaves: Sequence[bytes]) -> Iterator[Failure]:
    for index, leaf in enumerate(leaves, start):
        try:
            read_fact(leaf)
        except NotALeaf as error:
            yield Failure(index=index, code="leaf-format", detail=str(error))


def _edited(start: int, hashes: Sequence[bytes], stored: bytes) -> Iterator[Failure]:
    for at, hashed in enumerate(hashes):
        found = stored[at * HASH_SIZE : (at + 1) * HASH_SIZE]
        if found != hashed:
            detail = f"the bytes hash to {hashed.hex()}, the tile holds {found.hex()}"
            yield Failure(index=start + at, code="leaf-hash", detail=detail)


def _meet_within(block: _Block, tree: Frontier, anchors: Anchors, log: LogDirectory) -> None:
    """Meet the anchors that fall inside a bundle. They are few, so the bundle is hashed again rather than kept."""
    width = block.range.size if block.range else 0
    while (due := anchors.next) is not None and due < tree.size + width:
        inside = Frontier.of(hash_bundle(*log.bundle(block.index, width))[: due - tree.size])
        for index, leaf in block.rules:
            if index < due:
                anchors.read(index, leaf)
        anchors.meet(due, Frontier(size=due, peaks=tree.peaks + inside.peaks).root)


class _UpperTiles:
    """Tiles above the leaf hashes, compared with what the leaves give as soon as each is full, the partial ones last."""

    def __init__(self, log: LogDirectory, findings: Findings) -> None:
        self._log = log
        self._findings = findings
        self._levels: dict[int, list[bytes]] = {}
        self._full: dict[int, int] = {}

    def add(self, level: int, hashed: bytes) -> None:
        hashes = self._levels.setdefault(level, [])
        hashes.append(hashed)
        if len(hashes) == WIDTH:
            self._compare(level)
            self._full[level] = self._full.get(level, 0) + 1
            self._levels[level] = []
            self.add(level + 1, perfect_root(hashes))

    def finish(self) -> None:
        for level in sorted(self._levels):
            if self._levels[level]:
                self._compare(level)

    def _compare(self, level: int) -> None:
        hashes, index = self._levels[level], self._full.get(level, 0)
        first = index * WIDTH ** (level + 1)
        tile = Tile(level=level, index=index, width=len(hashes))
        try:
            stored = self._log.hashes(tile)
        except BadTile as error:
            self._findings.add(first, "tile-format", str(error))
            return
        for failure in _edited(0, hashes, stored):
            covered = first + (failure.index or 0) * WIDTH**level
            detail = f"{tile.path()}: {failure.detail}"
            self._findings.add(covered, "node-mismatch", detail)
