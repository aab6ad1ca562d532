"""What evidence costs: replaying what a log means, and writing a pack over it.

Floors: the standard library's JSON over the same entries, one process; SHA-256 by hashlib over them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.figures import Figure, Goal, shown
from benchmarks.histories import history
from countersign.auditlog.checkpoint import Checkpoint, sign_checkpoint
from countersign.auditlog.merkle import Frontier, leaf_hash
from countersign.auditlog.note import read_vkey
from countersign.auditlog.pack import verify_pack
from countersign.auditlog.signer import Ed25519Signer
from countersign.auditlog.tiles import WIDTH, write_directory

MILLION, SHORT = 1_000_000, 10_000
MEANING_GOAL, PACK_GOAL, SHORT_GOAL, MEMORY_GOAL = Goal(limit=5), Goal(limit=15), Goal(limit=1), Goal(limit=300)


def meaning(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield how long the replay of a million entries takes, and its memory over a long log and over a fifth of it.

    A shorter log is scaled up. Approvals in it are not signed: what a signature costs is a figure of its own (`signature`).
    """
    count = MILLION if full else 300_000
    scale, peaks = MILLION / count, []
    for size in (count // 5, count):
        place = folder / f"replayed-{size}"
        told = _in_a_process("replaying", place, _written(place, size))
        peaks.append(told["peak_mb"])
    explained = ("cpu_s", "cpu_beside_s", "in_one_process_cpu_s", "bytes_and_spelling_s")
    yield Figure(
        name="verify_meaning_1m_s",
        value=told["s"] * scale,
        unit="s",
        floor=told["json_cpu_s"] * scale,
        ratio=told["s"] / told["json_cpu_s"],
        goal=MEANING_GOAL,
        details={"entries": count, "scaled_by": scale, **{each: shown(told[each] * scale) for each in explained}},
    )
    yield Figure(
        name="verify_peak_mb",
        value=peaks[1],
        unit="MB",
        goal=MEMORY_GOAL,
        details={"entries": count, "over_a_fifth_of_them": shown(peaks[0])},
    )


def pack(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield how long a pack takes to write over a long log and over a short one, and the memory that it takes at most.

    A shorter log than a million entries is scaled up, and its memory is named for what it is.
    """
    count = MILLION if full else 200_000
    for size, name, goal in ((count, "pack_1m_s", PACK_GOAL), (SHORT, "pack_10k_s", SHORT_GOAL)):
        place = folder / f"log-{size}"
        vkey = _written(place, size)
        told = _in_a_process("packing", place, vkey, folder / f"{size}.zip")
        scale = MILLION / size if size == count else 1
        explained = ("cpu_s", "cpu_beside_s", "hashed_and_copied_s")
        yield Figure(
            name=name,
            value=told["pack_s"] * scale,
            unit="s",
            floor=told["sha256_s"] * scale,
            ratio=told["pack_s"] / told["sha256_s"],
            goal=goal,
            details={
                "entries": size,
                "scaled_by": scale,
                "pack_mb": shown(told["mb"]),
                **{each: shown(told[each] * scale) for each in explained},
            },
        )
        if size == count:
            yield Figure(
                name="pack_peak_mb", value=told["peak_mb"], unit="MB", goal=MEMORY_GOAL, details={"entries": size}
            )
    with (folder / f"{SHORT}.zip").open("rb") as file:
        assert verify_pack(file, verifiers=[read_vkey(vkey)]).ok


def _written(place: Path, size: int) -> str:
    signer, tree, source = Ed25519Signer.generate("bench.example/log"), Frontier(), history(size)
    while block := [leaf_hash(leaf) for leaf in islice(source, WIDTH)]:
        tree = tree.extend(block)
    note = sign_checkpoint(Checkpoint(origin=signer.name, size=size, root=tree.root()), [signer])
    write_directory(place, history(size), note)
    return signer.verifier().vkey()


def _in_a_process(module: str, *arguments: object) -> dict[str, float]:
    """Run a module of the benchmarks in a process of its own, whose memory nothing else has swollen."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))
