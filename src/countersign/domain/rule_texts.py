"""The rules' own words as they stand in the log: what changed, cut to the size of entries, and put together again.

The catalog's and the directory's documents are taken apart into sections (`catalog/entitlements`, `directory/groups`, …). A
section that lists things by id is written thing by thing, any other as a whole; a rulebook's entries hold what differs from the
rulebook before it. Folded in order they give the documents back, so that their digests can be computed from the log alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from countersign.domain.canonical import canonical, digest
from countersign.domain.entitlement import Catalog
from countersign.domain.people import DIRECTORY_LABEL, Directory
from countersign.domain.refusals import Invalid

Row = Mapping[str, Any]
"""`section`, `id` (None for the section as a whole), `value` (None for what is gone); `more` where the row before goes on."""

Sections = dict[str, Any]
"""By `part/section`: a list of things, or whatever the section is. Things in lists are kept by id until they are put together."""

LARGEST = 48_000
"""Bytes of the rows in one entry: what else a leaf says fits into the 65,535 that an entry may have."""


def sections_of(catalog: Catalog, directory: Directory) -> Sections:
    """Return the documents whose digests name a rulebook, taken apart into sections."""
    parts = {"catalog": catalog.document(), "directory": directory.pinned()}
    return {f"{part}/{name}": value for part, document in parts.items() for name, value in document.items()}


def rows_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Row]:
    """Yield what turns one rulebook's sections into another's.

    Raises:
        Invalid: one thing alone is larger than an entry of the log may be.
    """
    for section in sorted(before.keys() | after.keys()):
        old, new = before.get(section), after.get(section)
        if old == new:
            continue
        if not _is_listed(new):
            yield from _cut(section, None, new)
            continue
        known = _by_id(old) if _is_listed(old) else {}
        if old is None or not _is_listed(old):
            yield {"section": section, "id": None, "value": []}
        wanted = _by_id(new)
        for name in sorted(known.keys() | wanted.keys()):
            if known.get(name) != wanted.get(name):
                yield from _cut(section, name, wanted.get(name))


def batches(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    """Yield the rows in order, as many at once as fit one entry."""
    held: list[Row] = []
    size = 0
    for row in rows:
        length = len(canonical(row)) + 1
        if held and size + length > LARGEST:
            yield held
            held, size = [], 0
        held.append(row)
        size += length
    if held:
        yield held


def folded(sections: Mapping[str, Any], rows: Iterable[Row]) -> Sections:
    """Return the sections after these rows.

    Raises:
        KeyError, TypeError, ValueError: a row is none, or continues nothing.
    """
    done = {name: list(value) if _is_listed(value) else value for name, value in sections.items()}
    touched: dict[str, dict[str, Any]] = {}
    for row in rows:
        section, name, value = row["section"], row["id"], row["value"]
        if name is None:
            touched.pop(section, None)
            if value is None:
                done.pop(section, None)
            else:
                done[section] = value
            continue
        if section not in touched:
            touched[section] = _by_id(done[section])
        things = touched[section]
        if row.get("more"):
            things[name] = _continued(things[name], value)
        elif value is None:
            things.pop(name, None)
        else:
            things[name] = value
    for section, things in touched.items():
        done[section] = [things[name] for name in sorted(things)]
    return done


def documents(sections: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the catalog's and the directory's document that sections make up."""
    parts: dict[str, dict[str, Any]] = {"catalog": {}, "directory": {}}
    for place, value in sections.items():
        part, _, name = place.partition("/")
        parts[part][name] = value
    return parts["catalog"], parts["directory"]


def digests(sections: Mapping[str, Any]) -> tuple[str, str]:
    """Return the digests of the catalog and the directory that sections make up, as `rulebook.adopted` names them."""
    catalog, directory = documents(sections)
    return digest("countersign/catalog/v1", catalog), digest(DIRECTORY_LABEL, directory)


def _is_listed(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, Mapping) and "id" in item for item in value)


def _by_id(things: Any) -> dict[str, Any]:  # noqa: ANN401 - a section's value
    return {thing["id"]: thing for thing in things}


def _cut(section: str, name: str | None, value: Any) -> Iterator[Row]:  # noqa: ANN401 - a document's value
    """Yield one row, or several that continue each other where the thing's longest list is too long for one."""
    if value is None or len(canonical(value)) <= LARGEST:
        yield {"section": section, "id": name, "value": value}
        return
    lists = [key for key, item in value.items() if isinstance(item, (list, tuple))] if name is not None else []
    if not lists:
        raise Invalid(f"{section} {name or ''} is too large for the log", field=section.partition("/")[0])
    longest = max(lists, key=lambda key: len(canonical(value[key])))
    rest, items = {**value, longest: []}, list(value[longest])
    if len(canonical(rest)) > LARGEST:
        raise Invalid(f"{section} {name} is too large for the log", field=section.partition("/")[0])
    yield {"section": section, "id": name, "value": rest}
    held: list[Any] = []
    size = 0
    for item in items:
        size += len(canonical(item)) + 1
        if held and size > LARGEST:
            yield {"section": section, "id": name, "value": {longest: held}, "more": True}
            held, size = [], len(canonical(item)) + 1
        held.append(item)
    yield {"section": section, "id": name, "value": {longest: held}, "more": True}


def _continued(thing: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {**thing, **{key: [*thing[key], *items] for key, items in more.items()}}
