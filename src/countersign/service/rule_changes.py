"""What a proposal would change in the rules in force, thing by thing and key by key, for whoever is to approve it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import Any, Literal

from countersign.config.crosscheck import check_together
from countersign.domain.entitlement import Catalog
from countersign.domain.people import Directory
from countersign.domain.proposal import Proposal
from countersign.domain.proving import Effects, effects_of
from countersign.service.rules import Rules

LONGEST_COMPARING_S = 5.0
"""Seconds within which a proposal's effects are worked out; what is left over is named."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a proposal does to one thing: `added`, `removed` or `changed`, with each key before and after."""

    kind: str
    id: str
    what: Literal["added", "removed", "changed"]
    keys: Mapping[str, tuple[object, object]]


@dataclass(frozen=True, kw_only=True)
class ProposalView:
    """A proposal, and what it would change in the rules in force."""

    proposal: Proposal
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    before: tuple[Catalog, Directory]
    after: tuple[Catalog, Directory]

    @cached_property
    def effects(self) -> Effects:
        """What it changes in the prover's answers; worked out when it is asked for, outside any transaction."""
        began = monotonic()
        return effects_of(self.before, self.after, in_time=lambda: monotonic() - began < LONGEST_COMPARING_S)


def view_of(
    proposal: Proposal, rules: Rules, parsed: tuple[Catalog, Directory], *, remarks: tuple[str, ...]
) -> ProposalView:
    """Return a proposal with what it would change in the rules in force, and what in it means nobody or is dangerous.

    Args:
        proposal: what is proposed.
        rules: in force.
        parsed: the catalog and directory that it means.
        remarks: what is to be said of what the catalog's entitlements give, a line each.
    """
    warnings = (*(str(problem) for problem in check_together(*parsed)), *remarks)
    return ProposalView(
        proposal=proposal,
        changes=tuple(_changes(rules, parsed)),
        warnings=warnings,
        before=(rules.catalog, rules.roster),
        after=(parsed[0], _as_it_would_hold(parsed[1], rules.roster)),
    )


def _as_it_would_hold(proposed: Directory, roster: Directory) -> Directory:
    """Return a proposed directory without who is disabled, and without what a campaign removed and it goes on listing."""
    still = {
        (person, group)
        for person, group in roster.withheld
        if group in proposed.groups and person in proposed.groups[group].members
    }
    return proposed.without(roster.disabled).withholding(still)


def _changes(rules: Rules, parsed: tuple[Catalog, Directory]) -> list[Change]:
    changes = []
    for kind, before, after in (
        ("trust", _whole(rules.catalog), _whole(parsed[0])),
        ("entitlement", _by_id(rules.catalog.document()["entitlements"]), _by_id(parsed[0].document()["entitlements"])),
        *(
            (name[:-1], _by_id(rules.directory.document()[name]), _by_id(parsed[1].document()[name]))
            for name in ("persons", "principals", "groups")
        ),
    ):
        for thing in sorted(before.keys() | after.keys()):
            old, new = before.get(thing, {}), after.get(thing, {})
            keys = {key: (old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys())}
            differing = {key: pair for key, pair in keys.items() if pair[0] != pair[1]}
            if differing:
                changes.append(Change(kind=kind, id=thing, what=_what(old, new), keys=differing))
    return changes


def _what(old: Mapping[str, Any], new: Mapping[str, Any]) -> Literal["added", "removed", "changed"]:
    if not old:
        return "added"
    return "changed" if new else "removed"


def _whole(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Return the trust settings as the one thing of their kind; none where nothing is said."""
    said = catalog.trust.document()
    return {"trust": said} if said else {}


def _by_id(items: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - documents are plain JSON
    return {item["id"]: item for item in items}
