"""What other rules change in the prover's answers: each entitlement whose answer differs, before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from countersign.domain.entitlement import Catalog
from countersign.domain.people import Directory
from countersign.domain.proving.proof import Answer
from countersign.domain.proving.prover import Prover

Pair = tuple[Catalog, Directory]


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """An entitlement's answers; None where there is no such entitlement."""

    entitlement: str
    before: Answer | None
    after: Answer | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Effects:
    """What differs, and the entitlements for which there was no time to say."""

    found: tuple[Effect, ...]
    uncompared: tuple[str, ...]


def effects_of(before: Pair, after: Pair, *, in_time: Callable[[], bool]) -> Effects:
    """Compare the answers before and after, as long as `in_time` says there is time.

    Where the directory stays as it is, only entitlements that change themselves can have another answer.
    """
    old, new = before[0].entitlements, after[0].entitlements
    same_people = before[1].document() == after[1].document() and all(
        getattr(before[1], name) == getattr(after[1], name) for name in ("disabled", "withheld")
    )
    provers = Prover(*before), Prover(*after)
    found: list[Effect] = []
    uncompared: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        was, will = old.get(name), new.get(name)
        if same_people and was is not None and will is not None and was.rule_digest == will.rule_digest:
            continue
        if not in_time():
            uncompared.append(name)
            continue
        effect = Effect(
            entitlement=name,
            before=None if was is None else provers[0].answer(was),
            after=None if will is None else provers[1].answer(will),
        )
        if outcome(effect.before) != outcome(effect.after):
            found.append(effect)
    return Effects(found=tuple(found), uncompared=tuple(uncompared))


def outcome(answer: Answer | None) -> dict[str, Any] | None:
    """Return of an answer what an approver should weigh, as plain JSON: how many, who alone, one such set for each rule."""
    if answer is None:
        return None
    return {
        "least": answer.least,
        "alone": answer.alone.as_json(),
        "witnesses": [None if way.witness is None else str(way.witness) for way in answer.ways],
        "nobody_for": max(way.nobody_for.count for way in answer.ways),
    }
