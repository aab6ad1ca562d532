"""Writes the reference of the HTTP API from the application's own description: `python -m tests.api_reference`.

`docs/api.md` is prose down to the mark, and what this module writes below it; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from countersign.api.app import Readiness, make_app
from countersign.api.problems import STATUSES
from countersign.service.broker import Broker

FILE = Path(__file__).parents[1] / "docs" / "api.md"
MARK = "<!-- what follows is written by python -m tests.api_reference -->\n"
METHODS = ("get", "post")


def description() -> dict[str, Any]:
    """Return the OpenAPI document of an application that serves nobody."""
    nobody = cast("Broker", SimpleNamespace(draws=SimpleNamespace(undelivered=lambda _: None)))
    return make_app(nobody, readiness=lambda: Readiness(ok=True, checks={}, sweep_age_s=0)).openapi()


def reference() -> str:
    """Return everything below the mark: calls by tag, shapes by name, problems by status."""
    document = description()
    lines = [*_calls(document), *_shapes(document["components"]["schemas"]), *_problems()]
    return "\n".join(lines) + "\n"


def _calls(document: Mapping[str, Any]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method in (name for name in METHODS if name in methods):
            call = methods[method]
            takes = [_kind(_content(call["requestBody"]))] if "requestBody" in call else []
            takes += [f"`{p['name']}` ({p['in']})" for p in call.get("parameters", []) if p["in"] != "path"]
            gives = [_given(status, answer) for status, answer in call["responses"].items() if int(status) < 300]
            cells = (f"`{method.upper()} {path}`", call["summary"], ", ".join(takes), ", ".join(gives))
            by_tag.setdefault(call["tags"][0], []).append(_row(*cells))
    yield "## Calls"
    for tag, rows in by_tag.items():
        yield from (
            "",
            f"### {tag[0].upper()}{tag[1:]}",
            "",
            _row("call", "does", "takes", "gives"),
            "|---|---|---|---|",
        )
        yield from rows


def _shapes(schemas: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Shapes", "", "A field marked `?` may be absent.")
    for name, schema in sorted(schemas.items()):
        if name.startswith("Page_") or "properties" not in schema:
            continue
        said = str(schema.get("description", "")).split("\n\n")[0]
        yield from ("", f"### {name}", "", *((said, "") if said else ()), _row("field", "is", ""), "|---|---|---|")
        needed = set(schema.get("required", ()))
        for field, its in schema["properties"].items():
            yield _row(f"`{field}`{'' if field in needed else ' ?'}", _kind(its), its.get("description", ""))


def _problems() -> Iterator[str]:
    yield from ("", "## Problems", "", _row("status", "code", "title"), "|---|---|---|")
    for code, (status, title) in STATUSES.items():
        yield _row(str(status), f"`{code}`", title)


def _given(status: str, answer: Mapping[str, Any]) -> str:
    kind = _kind(_content(answer)) if "content" in answer else ""
    return f"{status} {kind}".strip()


def _content(part: Mapping[str, Any]) -> Mapping[str, Any]:
    media, value = next(iter(part["content"].items()))
    schema: Mapping[str, Any] = value.get("schema", {})
    return schema if media == "application/json" else {"type": media}


def _kind(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"$ref": str(ref)}:
            name = ref.rpartition("/")[2]
            inner = name.removeprefix("Page_").removesuffix("_")
            return f"a page of {_link(inner)}" if inner != name else _link(name)
        case {"anyOf": list(several)}:
            return " or ".join(_kind(each) for each in several)
        case {"enum": list(values)} if len(values) <= 4:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": Mapping() as items}:
            return f"list of {_kind(items)}"
        case {"type": "object", "additionalProperties": Mapping() as values}:
            return f"table of {_kind(values)}"
        case {"format": "date-time"}:
            return "time"
        case {"type": str(plain)}:
            return plain
        case _:
            return "anything"


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def written() -> str:
    """Return the file as it should stand: its own prose, and the reference below the mark."""
    return FILE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + "\n" + reference()


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
