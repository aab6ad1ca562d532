"""How requests, grants, leases and entitlements look to a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from countersign.cli.output import Output
from countersign.domain.ids import GRANT, LEASE, REQUEST

Row = list[object]


def request_sheet(out: Output, request: Mapping[str, Any]) -> None:
    """Print one request with everything that an approver should weigh."""
    preview = _table(request.get("preview"))
    out.pairs(
        [
            ("request", request.get("id")),
            ("state", request.get("state")),
            ("person", request.get("person")),
            ("entitlement", request.get("entitlement")),
            ("parameters", _parameters(request.get("parameters"))),
            ("duration", out.duration(request.get("duration_s"))),
            ("reason", request.get("reason")),
            ("ticket", request.get("ticket")),
            ("BREAK-GLASS", _mark(request.get("emergency"))),
            ("submitted", out.time(request.get("submitted_at"))),
            ("lapses", out.time(request.get("lapses_at"))),
            ("latest end", out.time(request.get("latest_end"))),
            ("review", quorum(request.get("review"))),
            ("may review", ", ".join(map(str, _list(request.get("may_review")))) or None),
            ("grant", request.get("grant_id")),
            *(("gives", line) for line in _list(preview.get("privileges"))),
            *(("BEWARE", line) for line in _list(preview.get("dangers"))),
            *(("afterwards", line) for line in _list(preview.get("residual"))),
            *(("reviewed", _review(out, review)) for review in _list(request.get("reviews"))),
            ("takes up", request.get("counters")),
            ("would sign", _counter(out, request.get("counter"))),
            ("digest", request.get("digest")),
            ("fingerprint", request.get("fingerprint")),
        ]
    )


def grant_sheet(out: Output, grant: Mapping[str, Any]) -> None:
    """Print one grant and its leases."""
    out.pairs(
        [
            ("grant", grant.get("id")),
            ("state", grant.get("state")),
            ("person", grant.get("person")),
            ("entitlement", grant.get("entitlement")),
            ("target", grant.get("target")),
            ("request", grant.get("request_id")),
            ("duration", out.duration(grant.get("duration_s"))),
            ("draws", _draws(grant)),
            ("opened", out.time(grant.get("opened_at"))),
            ("draw by", out.time(grant.get("draw_by"))),
            ("not after", out.time(grant.get("not_after"))),
            *(("lease", _lease_line(out, lease)) for lease in _list(grant.get("leases"))),
        ]
    )


def lease_sheet(out: Output, lease: Mapping[str, Any]) -> None:
    """Print one lease."""
    out.pairs(
        [
            ("lease", lease.get("id")),
            ("state", _lease_state(lease)),
            ("person", lease.get("person")),
            ("entitlement", lease.get("entitlement")),
            ("provider", lease.get("provider")),
            ("grant", lease.get("grant_id")),
            ("request", lease.get("request_id")),
            ("prepared", out.time(lease.get("prepared_at"))),
            ("not after", out.time(lease.get("not_after"))),
            ("backstop", out.time(lease.get("backstop_at"))),
            ("ends when unused for", _idle(out, lease)),
            ("last used", out.time(lease.get("last_used_at"))),
            ("ending since", out.time(lease.get("asked_at"))),
            ("cause", lease.get("cause")),
            ("dead", out.time(lease.get("dead_at"))),
            ("evidence", lease.get("evidence")),
        ]
    )


def entitlement_sheet(out: Output, entitlement: Mapping[str, Any]) -> None:
    """Print one catalog item."""
    least, most = (out.duration(entitlement.get(name)) for name in ("min_duration_s", "max_duration_s"))
    out.pairs(
        [
            ("entitlement", entitlement.get("id")),
            ("about", entitlement.get("description") or None),
            ("owner", entitlement.get("owner")),
            ("environment", entitlement.get("environment")),
            ("provider", entitlement.get("provider")),
            ("target", _name(entitlement.get("target"))),
            ("may request", _yes(entitlement.get("may_request"))),
            ("duration", f"{least} to {most}" if least and most else None),
            ("draws", entitlement.get("draws")),
            ("delivery", entitlement.get("delivery")),
            ("review", quorum(entitlement.get("review"))),
            *(
                ("parameter", _parameter(name, rule))
                for name, rule in sorted(_table(entitlement.get("parameters")).items())
            ),
        ]
    )


def quorum(factors: object) -> str | None:
    """Return how far a rule is filled, as `orders-owners 1 of 1, security 0 of 1`."""
    said = []
    for factor in _list(factors):
        have = f"{factor['have']} of " if isinstance(factor, Mapping) and "have" in factor else ""
        if isinstance(factor, Mapping):
            said.append(f"{factor.get('group')} {have}{factor.get('count')}")
    return ", ".join(said) or None


SHEETS: Mapping[str, Callable[[Output, Mapping[str, Any]], None]] = MappingProxyType(
    {REQUEST: request_sheet, GRANT: grant_sheet, LEASE: lease_sheet, "entitlement": entitlement_sheet}
)
"""By what `lookup.find` calls the kind."""


def request_rows(out: Output, requests: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Row]]:
    """Return the columns and rows of a list of requests."""
    columns = ["id", "state", "person", "entitlement", "for", "lapses", "review", "reason"]
    return columns, [
        [
            item.get("id"),
            item.get("state"),
            item.get("person"),
            item.get("entitlement"),
            out.duration(item.get("duration_s")),
            out.time(item.get("lapses_at")),
            quorum(item.get("review")),
            item.get("reason"),
        ]
        for item in requests
    ]


def grant_rows(out: Output, grants: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Row]]:
    """Return the columns and rows of a list of grants."""
    columns = ["id", "state", "person", "entitlement", "draws", "draw by", "not after"]
    return columns, [
        [
            item.get("id"),
            item.get("state"),
            item.get("person"),
            item.get("entitlement"),
            _draws(item),
            out.time(item.get("draw_by")),
            out.time(item.get("not_after")),
        ]
        for item in grants
    ]


def lease_rows(out: Output, leases: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Row]]:
    """Return the columns and rows of a list of leases."""
    columns = ["id", "state", "person", "entitlement", "not after", "dead", "evidence"]
    return columns, [
        [
            item.get("id"),
            _lease_state(item),
            item.get("person"),
            item.get("entitlement"),
            out.time(item.get("not_after")),
            out.time(item.get("dead_at")),
            item.get("evidence"),
        ]
        for item in leases
    ]


def entitlement_rows(out: Output, entitlements: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Row]]:
    """Return the columns and rows of the catalog."""
    columns = ["id", "may request", "provider", "target", "longest", "review", "about"]
    return columns, [
        [
            item.get("id"),
            _yes(item.get("may_request")),
            item.get("provider"),
            _name(item.get("target")),
            out.duration(item.get("max_duration_s")),
            quorum(item.get("review")),
            item.get("description"),
        ]
        for item in entitlements
    ]


def stop_rows(out: Output, stops: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Row]]:
    """Return the columns and rows of the stops in force."""
    return ["id", "scope", "of", "placed by", "placed at", "until", "lift asked by"], [
        [
            *(item.get(key) for key in ("id", "scope", "target", "placed_by")),
            out.time(item.get("placed_at")),
            out.time(item.get("until")),
            item.get("lift_asked_by"),
        ]
        for item in stops
    ]


def envelope_rows(out: Output, envelopes: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Row]]:
    """Return the columns and rows of envelopes."""
    return ["id", "state", "entitlement", "until", "uses left", "longest", "signed by"], [
        [
            item.get("id"),
            item.get("state"),
            item.get("entitlement"),
            out.time(item.get("not_after")),
            item.get("uses_left"),
            out.duration(item.get("max_duration_s")),
            ", ".join(map(str, _list(item.get("signers")))),
        ]
        for item in envelopes
    ]


def after_review_rows(out: Output, reviews: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Row]]:
    """Return the columns and rows of reviews after the fact."""
    return ["grant", "verdict", "person", "entitlement", "incident", "due", "reviewer"], [
        [
            item.get("id"),
            item.get("verdict") or ("OVERDUE" if item.get("escalated_at") else "owed"),
            item.get("person"),
            item.get("entitlement"),
            f"{item.get('incident')}{' (a drill)' if item.get('drill') else ''}",
            out.time(item.get("due_at")),
            item.get("reviewer"),
        ]
        for item in reviews
    ]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _parameters(value: object) -> str | None:
    return ", ".join(f"{name}={given}" for name, given in sorted(_table(value).items())) or None


def _parameter(name: str, described: object) -> str:
    rule = _table(described)
    allowed = " | ".join(map(str, _list(rule.get("values")))) or rule.get("pattern") or ""
    default = f", else {rule['default']}" if rule.get("default") is not None else ""
    return f"{name}: {allowed}{default}"


def _review(out: Output, review: object) -> str:
    said = _table(review)
    comment = said.get("comment")
    return f"{said.get('decision')} by {said.get('person')} at {out.time(said.get('at'))}" + (
        f": {comment}" if comment else ""
    )


def _counter(out: Output, counter: object) -> str | None:
    said = _table(counter)
    if not said:
        return None
    parameters = _parameters(said.get("parameters"))
    less = " ".join(part for part in (out.duration(said.get("duration_s")), parameters) if part)
    taken = f", taken up by {said['taken_up_by']}" if said.get("taken_up_by") else ""
    return f"{less} (says {said.get('person')}{taken})"


def _mark(emergency: object) -> str | None:
    said = _table(emergency)
    if not said:
        return None
    drill = " (a drill)" if said.get("drill") else ""
    return f"{said.get('incident')}{drill}" + (f", by {said['envelope']}" if said.get("envelope") else "")


def _draws(grant: Mapping[str, Any]) -> str | None:
    return f"{grant.get('draws_used', 0)} of {grant['draws']} used" if "draws" in grant else None


def _idle(out: Output, said: Mapping[str, Any]) -> object:
    return None if said.get("idle_s") is None else out.duration(said.get("idle_s"))


def _lease_state(lease: Mapping[str, Any]) -> object:
    return f"{lease.get('state')} (overdue)" if lease.get("overdue") else lease.get("state")


def _lease_line(out: Output, lease: object) -> str:
    said = _table(lease)
    return f"{said.get('id')} {_lease_state(said)}, not after {out.time(said.get('not_after'))}"


def _name(value: object) -> object:
    return value.get("id") if isinstance(value, Mapping) else value


def _yes(value: object) -> str | None:
    return None if value is None else "yes" if value else "no"
