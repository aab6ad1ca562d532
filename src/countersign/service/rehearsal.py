"""Rehearses what an entitlement would give before it comes into force, so that its author hears at once what a requester would.

Nothing is called: a provider's preview is pure. What it refuses could never be served, and refuses the rules that say it; what it
calls dangerous is said to the author, and to everyone who approves a request for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from countersign.config.problems import Severity, shown
from countersign.domain.entitlement import Catalog, Entitlement
from countersign.domain.ids import GRANT, LEASE, RANDOM_BYTES, REQUEST, make_id
from countersign.domain.refusals import Invalid
from countersign.providers.base import Order, Previewer, Unfit

SOME_TEXT = "x"
"""Stands for a parameter's value where only a pattern is known."""
_NOBODY = "nobody"
_SOME_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """One thing about one entitlement."""

    entitlement: str
    severity: Severity
    said: str

    def __str__(self) -> str:
        return f"{self.severity}: entitlement {shown(self.entitlement)}: {self.said}"


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Judges what entitlements give.

    Attributes:
        previews: by provider name, what an order would give; pure, without provider rights.
        objection: says why an entitlement cannot be served here for another reason; None when it can.
    """

    previews: Mapping[str, Previewer] = field(default_factory=dict)
    objection: Callable[[Entitlement], str | None] = lambda _: None

    def demand_servable(self, catalog: Catalog) -> tuple[str, ...]:
        """Return what the author of a catalog should not overlook, a line each.

        Raises:
            Invalid: something in it could never be served; every reason, one a line, and `catalog` is named.
        """
        remarks = self.remarks(catalog)
        errors = [str(remark) for remark in remarks if remark.severity is Severity.ERROR]
        if errors:
            raise Invalid("\n".join(errors), field="catalog")
        return tuple(map(str, remarks))

    def remarks(self, catalog: Catalog) -> list[Remark]:
        """Return all that is to be said of a catalog's entitlements, each thing once."""
        return list(dict.fromkeys(remark for item in catalog.entitlements.values() for remark in self._of(item)))

    def _of(self, item: Entitlement) -> Iterator[Remark]:
        why = self.objection(item)
        if why is not None:
            yield _error(item, why)
        previewer = self.previews.get(item.provider)
        if previewer is None:
            yield _warning(item, f"the provider {item.provider} is not configured here, and nobody can ask for it")
            return
        for parameters in _choices(item):
            yield from _remarks(item, previewer, parameters)


def _remarks(item: Entitlement, previewer: Previewer, parameters: Mapping[str, str]) -> Iterator[Remark]:
    chosen = "".join(f" {name}={value}" for name, value in sorted(parameters.items()) if value != SOME_TEXT)
    which = f"with{chosen}: " if chosen else ""
    try:
        preview = previewer(_order(item, parameters, item.max_duration))
    except Unfit as unfit:
        if unfit.field == "duration_s" and _serves(previewer, _order(item, parameters, item.min_duration)):
            yield _warning(item, f"max_duration_s is more than can be had: {which}{unfit}")
        elif not _is_of_unknown_value(unfit, parameters):
            yield _error(item, f"{which}{unfit}")
        return
    for danger in preview.dangers:
        yield _warning(item, danger)


def _is_of_unknown_value(unfit: Unfit, parameters: Mapping[str, str]) -> bool:
    """Say whether a refusal is about the text that only stands for a value; a real one is judged when it is asked for."""
    field_of, _, name = (unfit.field or "").partition(".")
    return field_of == "parameters" and parameters.get(name) == SOME_TEXT


def _serves(previewer: Previewer, order: Order) -> bool:
    try:
        previewer(order)
    except Unfit:
        return False
    return True


def _choices(item: Entitlement) -> Iterator[dict[str, str]]:
    """Yield sets of parameters as somebody could ask for them: each value of each once, beside the first ones of the others."""
    values = {
        name: item.parameters[name].values or (item.parameters[name].default or SOME_TEXT,)
        for name in sorted(item.parameters)
    }
    first = {name: choice[0] for name, choice in values.items()}
    yield first
    for name, choice in values.items():
        for value in choice[1:]:
            yield first | {name: value}


def _order(item: Entitlement, parameters: Mapping[str, str], duration: timedelta) -> Order:
    nothing = bytes(RANDOM_BYTES)
    return Order(
        lease_id=make_id(LEASE, nothing),
        grant_id=make_id(GRANT, nothing),
        request_id=make_id(REQUEST, nothing),
        person=_NOBODY,
        entitlement=item.id,
        target=item.document()["target"],
        grants=item.grants,
        parameters=parameters,
        now=_SOME_MOMENT,
        not_after=_SOME_MOMENT + duration,
        backstop_at=_SOME_MOMENT + duration + item.backstop,
        delivery=item.delivery,
    )


def _error(item: Entitlement, said: str) -> Remark:
    return Remark(entitlement=item.id, severity=Severity.ERROR, said=said)


def _warning(item: Entitlement, said: str) -> Remark:
    return Remark(entitlement=item.id, severity=Severity.WARNING, said=said)
