"""Long logs of real shape: one story lived through by the real services, told again with other ids, people and times."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice

from tests.quick import quick_world

from countersign.domain.canonical import canonical
from countersign.domain.ids import RANDOM_BYTES, make_id
from countersign.domain.request import DIGEST_LABEL
from countersign.domain.timestamps import read, spell

_MARK = re.compile(r"\x00([^\x00]+)\x00")
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_ID = re.compile(r"(?:req|grt|lse)_[a-z2-7]{16}")
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_ASKERS, _SIGNERS = ("alice", "dave"), ("bob", "carol")
STORY_S = 60


@cache
def _recorded() -> tuple[list[bytes], list[str]]:
    """Return the leaves that bring the rules into force, and those of one story."""
    with quick_world() as world:
        grant = world.granted()
        world.clock.forward(seconds=5)
        world.draw(grant)
        world.clock.forward(seconds=61)
        world.sweep()
        leaves = [entry.leaf for entry in world.store.entries()]
    rules = [leaf for leaf in leaves if b'"type":"rulebook.' in leaf[-60:]]
    return rules, [leaf.decode() for leaf in leaves[len(rules) :]]


class _Template:
    """A leaf with places for ids, times, people and the request's digest."""

    def __init__(self, leaf: str, *, first: datetime, digest: str) -> None:
        marked = _TIME.sub(lambda found: f"\x00t{_ms(read(found[0]) - first)}\x00", leaf)
        marked = _ID.sub(lambda found: f"\x00{found[0][:3]}\x00", marked.replace(digest, "\x00digest\x00"))
        marked = marked.replace('"alice"', '"\x00asker\x00"').replace('"bob"', '"\x00signer\x00"')
        parts = _MARK.split(marked)
        self.literals, self.names = parts[::2], parts[1::2]

    def told(self, words: dict[str, str]) -> str:
        out = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            out += (words[name], literal)
        return "".join(out)


def history(count: int) -> Iterator[bytes]:
    """Yield `count` leaves: the rules, then one story after another; the last one is cut off where `count` is reached."""
    return islice(_leaves(), count)


def _leaves() -> Iterator[bytes]:
    rules, story = _recorded()
    said = [json.loads(leaf) for leaf in story]
    first, digest = read(said[0]["at"]), said[0]["data"]["digest"]
    templates = [_Template(leaf, first=first, digest=digest) for leaf in story]
    statement = _Template(canonical(said[0]["data"]["statement"]).decode(), first=first, digest=digest)
    offsets = {name for each in [statement, *templates] for name in each.names if name[0] == "t" and name[1:].isdigit()}
    yield from (leaf.replace(said[0]["at"].encode(), spell(_BEGINNING).encode()) for leaf in rules)
    number = 0
    while True:
        began = _BEGINNING + timedelta(seconds=number * 2 * STORY_S)
        words = {name: spell(began + timedelta(milliseconds=int(name[1:]))) for name in offsets}
        words |= {kind: make_id(f"{kind}_", number.to_bytes(RANDOM_BYTES, "big")) for kind in ("req", "grt", "lse")}
        words |= {"asker": _ASKERS[number % 2], "signer": _SIGNERS[number // 2 % 2]}
        covered = DIGEST_LABEL.encode() + b"\n" + statement.told(words).encode()
        words["digest"] = hashlib.sha256(covered).hexdigest()
        for template in templates:
            yield template.told(words).encode()
        number += 1


def _ms(span: timedelta) -> int:
    return int(span / timedelta(milliseconds=1))
