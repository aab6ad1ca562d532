"""Reading forms (RFC 8693, back-channel logout) as strictly as JSON: bounded, each field once."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

from countersign.api.problems import UnsupportedMediaType, shown
from countersign.api.reading import read_body
from countersign.domain.refusals import Invalid

MOST_FIELDS = 20


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        UnsupportedMediaType: the body is not said to be a form.
        Invalid: it is malformed, or gives a field twice.
    """
    said = request.headers.getlist("content-type")
    if len(said) != 1 or said[0].lower().partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("this call takes Content-Type: application/x-www-form-urlencoded", field="body")
    raw = await read_body(request)
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise Invalid("the body is no form", field="body") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice = next(name for position, (name, _) in enumerate(pairs) if name in dict(pairs[:position]))
        raise Invalid(f"{shown(twice, longest=40)} is given twice", field=shown(twice, longest=40))
    return fields
