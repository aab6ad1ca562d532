"""The catalog: entitlements, what each may be narrowed to, how long it may last, and who must sign.

Default deny throughout: an entitlement nobody may request, a rule without factors or a factor whose group is empty mean
nobody, never everybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from countersign.domain.canonical import digest
from countersign.domain.emergency import Emergency
from countersign.domain.environment import Environment
from countersign.domain.people import Directory, Principal, Role
from countersign.domain.refusals import Invalid
from countersign.domain.signin_refusals import SecondFactorMissing
from countersign.domain.trust import Trust

LONGEST_PARAMETER = 128


class Delivery(StrEnum):
    """How the secret reaches the requester."""

    DIRECT = "direct"
    WRAPPED = "wrapped"


class SignatureRule(StrEnum):
    """Whether an approval is a passkey's signature; a denial never needs one."""

    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """What a request may say for one parameter: one of `values`, or a text that `pattern` matches as a whole.

    `values` that are `ordered` stand from the least to the most, so that a reviewer can ask for less. Patterns are sequences
    of literal characters and bounded character classes only (`config` enforces it), so matching takes time linear in the input.
    """

    name: str
    values: tuple[str, ...] = ()
    pattern: str | None = None
    default: str | None = None
    ordered: bool = False

    def is_less(self, value: str, *, than: str) -> bool:
        """Say whether a value gives less than another: only ordered values compare at all."""
        return self.ordered and {value, than} <= {*self.values} and self.values.index(value) < self.values.index(than)

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        said = {"values": self.values, "pattern": self.pattern, "default": self.default}
        return said | ({"ordered": True} if self.ordered else {})

    def judge(self, value: object) -> str:
        """Return the value if it is allowed.

        Raises:
            Invalid: naming `parameters.<name>`.
        """
        where = f"parameters.{self.name}"
        if not isinstance(value, str):
            raise Invalid(f"{where} must be a string", field=where)
        if len(value) > LONGEST_PARAMETER:
            raise Invalid(f"{where} is longer than {LONGEST_PARAMETER} characters", field=where)
        if self.values:
            if value not in self.values:
                raise Invalid(f"{where} must be one of: {', '.join(self.values)}", field=where)
        elif self.pattern is None or re.fullmatch(self.pattern, value, re.ASCII) is None:
            raise Invalid(f"{where} does not match {self.pattern}", field=where)
        return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """One demand of a review rule: `count` persons of `group`."""

    group: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewRule:
    """One of several rules that hold for an entitlement: its own, or one of the catalog that matches it."""

    id: str
    review: tuple[Factor, ...]


def strictest(*rules: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """Return the least rule that is filled only by what fills each of these: of every group the largest count."""
    counts: dict[str, int] = {}
    for factor in (factor for rule in rules for factor in rule):
        counts[factor.group] = max(factor.count, counts.get(factor.group, 0))
    return tuple(Factor(group=group, count=count) for group, count in counts.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """Bounds on what one person, or all persons together, can hold of an entitlement or its target.

    Attributes:
        pending_per_person: requests awaiting review, per person.
        open_per_person: open grants of this entitlement, per person.
        open_per_target: open grants on this entitlement's target, all persons together.
        seconds_per_person_day: approved time per person and target in any 24 hours, against splitting.
    """

    pending_per_person: int = 5
    open_per_person: int = 3
    open_per_target: int = 50
    seconds_per_person_day: int = 8 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where access leads, and the provider's own settings for it (names and addresses, never secrets)."""

    id: str
    provider: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakGlass:
    """What an emergency changes: who signs, for how much shorter, and who says afterwards whether it was justified.

    Attributes:
        review: the rule that counts in an emergency; never without a second person.
        max_duration: the longest access, whole seconds.
        after_review: how long after the grant opened the review after the fact is owed.
        reviewers: the group whose members give it.
        per_incident: for so many accesses of one incident one person may owe a review at once.
    """

    review: tuple[Factor, ...]
    max_duration: timedelta
    after_review: timedelta
    reviewers: str
    per_incident: int

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "review": _factors(self.review),
            "max_duration_s": _seconds(self.max_duration),
            "after_review_s": _seconds(self.after_review),
            "reviewers": self.reviewers,
            "per_incident": self.per_incident,
        }


@dataclass(frozen=True, kw_only=True)
class Entitlement:
    """A catalog item. Durations are whole seconds; `draw_ttl` is how long an approval waits to be drawn.

    Attributes:
        idle: a lease that nobody used for so long ends early; None where that does not matter.
        cosigned: no credential is made before witnesses have seen that it was going to be.
        automatic: who may ask has it at once, approved in advance by the two who countersigned this rule.
    """

    id: str
    owner: str
    environment: Environment
    provider: str
    target: Target
    parameters: Mapping[str, Parameter]
    grants: Mapping[str, Any]
    min_duration: timedelta
    max_duration: timedelta
    review_ttl: timedelta
    draw_ttl: timedelta
    draws: int
    backstop: timedelta
    delivery: Delivery
    review: tuple[Factor, ...]
    requesters: tuple[str, ...] | None
    caps: Caps
    description: str = ""
    break_glass: BreakGlass | None = None
    rules: tuple[ReviewRule, ...] = ()
    idle: timedelta | None = None
    cosigned: bool = False
    signature: SignatureRule = SignatureRule.OPTIONAL
    second_factor: tuple[str, ...] = ()
    automatic: bool = False

    @property
    def approves_itself(self) -> bool:
        """Say whether its rule is an approval in advance: never in production, whatever was written."""
        return self.automatic and self.environment is not Environment.PRODUCTION

    def document(self) -> dict[str, Any]:
        """Return everything that decides what this entitlement gives and who signs it, as plain JSON."""
        document: dict[str, Any] = {
            "id": self.id,
            "owner": self.owner,
            "environment": self.environment.value,
            "provider": self.provider,
            "target": {
                "id": self.target.id,
                "provider": self.target.provider,
                "kind": self.target.kind,
                "settings": self.target.settings,
            },
            "parameters": {p.name: p.document() for p in self.parameters.values()},
            "grants": self.grants,
            "min_duration_s": _seconds(self.min_duration),
            "max_duration_s": _seconds(self.max_duration),
            "review_ttl_s": _seconds(self.review_ttl),
            "draw_ttl_s": _seconds(self.draw_ttl),
            "draws": self.draws,
            "backstop_s": _seconds(self.backstop),
            "delivery": self.delivery.value,
            "review": _factors(self.review),
            "requesters": self.requesters,
            "caps": {
                "pending_per_person": self.caps.pending_per_person,
                "open_per_person": self.caps.open_per_person,
                "open_per_target": self.caps.open_per_target,
                "seconds_per_person_day": self.caps.seconds_per_person_day,
            },
            "description": self.description,
        }
        # What was added later stands there only where it is said, so that older rules keep their digests.
        if self.break_glass is not None:
            document["break_glass"] = self.break_glass.document()
        if self.rules:
            document["rules"] = [{"id": rule.id, "review": _factors(rule.review)} for rule in self.rules]
        if self.idle is not None:
            document["idle_s"] = _seconds(self.idle)
        if self.cosigned:
            document["cosigned"] = True
        if self.signature is not SignatureRule.OPTIONAL:
            document["signature"] = self.signature.value
        if self.second_factor:
            document["second_factor"] = list(self.second_factor)
        if self.automatic:
            document["automatic"] = True
        return document

    @cached_property
    def rule_digest(self) -> str:
        """The digest that a request pins; an edit elsewhere in the catalog leaves it as it was."""
        return digest("countersign/rule/v1", self.document())

    def rule_for(self, emergency: Emergency | None) -> tuple[Factor, ...]:
        """Return the rule that counts: the normal one, also for envelopes, or that of break-glass; without one, nobody's."""
        if emergency is None or emergency.envelope is not None:
            return self.review
        return () if self.break_glass is None else self.break_glass.review

    def may_be_requested_by(self, person: str, directory: Directory) -> bool:
        """Say whether a person may ask: holds the requester role and, where the entitlement names groups, is in one."""
        if Role.REQUESTER not in directory.roles_of(person):
            return False
        return self.requesters is None or any(person in directory.members(group) for group in self.requesters)

    def judge_parameters(self, given: Mapping[str, object]) -> dict[str, str]:
        """Return the complete, allowed parameters.

        Raises:
            Invalid: an unknown, missing or disallowed parameter, by name.
        """
        for name in given:
            if name not in self.parameters:
                raise Invalid(
                    f"{self.id} takes no parameter {name[:40]!r}; it takes: {', '.join(self.parameters) or 'none'}",
                    field=f"parameters.{name[:40]}",
                )
        judged = {}
        for name, parameter in self.parameters.items():
            if name in given:
                judged[name] = parameter.judge(given[name])
            elif parameter.default is not None:
                judged[name] = parameter.default
            else:
                raise Invalid(f"{self.id} needs the parameter {name}", field=f"parameters.{name}")
        return judged

    def demand_second_factor(self, principal: Principal) -> None:
        """Refuse who signed in by none of the ways that the entitlement demands.

        Raises:
            SecondFactorMissing: naming the ways (`acr` or `amr`).
        """
        if self.second_factor and not principal.factors & frozenset(self.second_factor):
            ways = " or ".join(self.second_factor)
            raise SecondFactorMissing(
                f"{principal.id} signed in without {ways}",
                rule=f"entitlement {self.id}: second_factor = {ways}",
                hint="sign in again, with the second factor",
            )

    def demand_break_glass(self) -> BreakGlass:
        """Return what an emergency changes.

        Raises:
            Invalid: naming `emergency`; this entitlement knows none.
        """
        if self.break_glass is None:
            raise Invalid(
                f"{self.id} knows no break-glass",
                field="emergency",
                rule=f"entitlement {self.id}: break_glass",
                hint="ask without it",
            )
        return self.break_glass

    def judge_duration(self, seconds: int, *, emergency: Emergency | None = None) -> timedelta:
        """Return the duration if it lies within the entitlement's bounds, in an emergency the narrower ones.

        Raises:
            Invalid: naming `duration_s`, or `emergency` where there is no break-glass.
        """
        longest = self.max_duration if emergency is None else self.demand_break_glass().max_duration
        low, high = _seconds(self.min_duration), _seconds(longest)
        if not low <= seconds <= high:
            where = "" if emergency is None else "break_glass."
            raise Invalid(
                f"duration_s must lie between {low} and {high}",
                field="duration_s",
                rule=f"entitlement {self.id}: min_duration_s = {low}, {where}max_duration_s = {high}",
            )
        return timedelta(seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All entitlements in force at one moment, and whom their rules trust."""

    entitlements: Mapping[str, Entitlement]
    trust: Trust = field(default_factory=Trust)

    def document(self) -> dict[str, Any]:
        """Return the catalog as plain JSON; what is stored and hashed."""
        trust = self.trust.document()
        entitlements = [item.document() for _, item in sorted(self.entitlements.items())]
        return {"entitlements": entitlements} | ({"trust": trust} if trust else {})

    @cached_property
    def digest(self) -> str:
        """The digest of the whole catalog."""
        return digest("countersign/catalog/v1", self.document())


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def _factors(rule: tuple[Factor, ...]) -> list[dict[str, Any]]:
    return [{"group": factor.group, "count": factor.count} for factor in rule]
