"""A counter-proposal: what a reviewer who denied would rather see asked, which is never more than what was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from countersign.domain.entitlement import Entitlement
from countersign.domain.refusals import Invalid
from countersign.domain.request import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class CounterProposal:
    """Less than `request_id` asked for, in whole: the parameters and the duration that the reviewer would see asked.

    It is no approval: who made it signs, or does not sign, the request that takes it up as anybody else does.
    """

    request_id: str
    person: str
    parameters: Mapping[str, str]
    duration: timedelta
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Less:
    """What a reviewer says of less: the parameters that are to be narrower, and a shorter duration in whole seconds, or None."""

    parameters: Mapping[str, object]
    duration_s: int | None


def judge_counter(
    entitlement: Entitlement, request: Request, *, less: Less, person: str, at: datetime
) -> CounterProposal:
    """Return a counter-proposal, once it asks for less by the entitlement's own rules and for more in nothing.

    A duration is less when it is shorter. A value is less when its parameter is `ordered` and lists it before the one that was
    asked for; values of other parameters are different, not less.

    Args:
        entitlement: the one that was asked for.
        request: what was asked.
        less: what is to be less; everything else stays as it was asked.
        person: who makes it.
        at: when.

    Raises:
        Invalid: naming the field; it is outside the entitlement's bounds, asks for more, or for no less.
    """
    asked_s = int(request.duration.total_seconds())
    seconds = asked_s if less.duration_s is None else less.duration_s
    duration = entitlement.judge_duration(seconds, emergency=request.emergency)
    if duration > request.duration:
        raise Invalid(
            f"counter.duration_s is more than the {asked_s} that were asked for",
            field="counter.duration_s",
            rule="a counter-proposal is only ever less",
        )
    whole = entitlement.judge_parameters({**request.parameters, **less.parameters})
    changed = {name: value for name, value in whole.items() if value != request.parameters.get(name)}
    for name, value in changed.items():
        if not entitlement.parameters[name].is_less(value, than=request.parameters.get(name, value)):
            raise Invalid(
                f"counter.parameters.{name} is not less than what was asked for",
                field=f"counter.parameters.{name}",
                rule=f"entitlement {entitlement.id}: only an earlier value of an ordered parameter is less",
            )
    if not changed and duration == request.duration:
        raise Invalid("the counter-proposal asks for no less", field="counter", hint="deny without it")
    return CounterProposal(request_id=request.id, person=person, parameters=whole, duration=duration, at=at)
