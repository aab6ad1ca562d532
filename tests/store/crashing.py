"""A process that appends, signs and publishes, and is killed at a step that its caller names."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from countersign.auditlog.signer import load_key_file
from countersign.auditlog.tiles import partial_tiles_of, tiles_of
from countersign.domain.people_facts import TokenIssued
from countersign.service.checkpoints import Checkpoints
from countersign.service.evidence import Evidence
from countersign.service.office import Office
from countersign.service.publication import Publication
from countersign.service.rules import RuleReader
from countersign.store import Store

STEPS = ("append", "appended", "sign", "signed", "publish", "published")
ROUNDS = 3
URL = "database-url"
"""The file in a folder that says which database is used there."""


def work(folder: Path, kill_at: str = "never", in_round: int = 0) -> None:
    """Append a fact, sign and publish, again and again; die by SIGKILL at a step of a round."""
    store = Store((folder / URL).read_text(), clock=lambda: datetime.now(UTC))
    office = Office(store=store, rules=RuleReader(), randomness=os.urandom, nudge=lambda: None)
    checkpoints = Checkpoints(office=office, signer=load_key_file(folder / "log.key"))
    evidence = Evidence(office=office, key=checkpoints.signer.verifier())
    publication = Publication(office=office, evidence=evidence, public=True)

    def step(name: str, turn: int) -> None:
        if (name, turn) == (kill_at, in_round):
            os.kill(os.getpid(), signal.SIGKILL)

    for turn in range(ROUNDS):
        with store.begin() as tx:
            for number in range(100):
                tx.record(TokenIssued(actor="countersign/test", subject="t", principal="p", token=f"{turn}-{number}"))
            tx.flush()
            step("append", turn)
        step("appended", turn)
        with store.begin() as tx:
            head = tx.head()
            step("sign", turn)
        note = checkpoints.sign()
        step("signed", turn)
        for tile in [*(one for one in tiles_of(head.size) if one.width == 256), *partial_tiles_of(head.size)]:
            path = folder / "published" / tile.path()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(publication.tile(tile))
            step("publish", turn)
        # The checkpoint comes last: it never names what is not there.
        fresh = folder / "published" / ".checkpoint.new"
        fresh.write_text(note or "")
        fresh.replace(folder / "published" / "checkpoint")
        step("published", turn)


def main(folder: Path) -> int:
    """Let a child of its own die in each folder below, which is named by step and round; say how many did not."""
    lived = 0
    for each in sorted(folder.iterdir()):
        name, turn = each.name.split("-")
        child = os.fork()  # nothing has started a thread here yet, and all is imported once
        if child == 0:
            work(each, name, int(turn))
            os._exit(0)
        lived += os.WTERMSIG(os.waitpid(child, 0)[1]) != signal.SIGKILL
    return lived


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
