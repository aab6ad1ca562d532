"""Finds things by whole id or by any unique prefix of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from countersign.cli.client import Client, segment
from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.output import text_of
from countersign.cli.terminal import shortened
from countersign.domain.ids import (
    CAMPAIGN,
    ENVELOPE,
    FINDING,
    GRANT,
    LEASE,
    PASSKEY,
    PROPOSAL,
    REQUEST,
    SESSION,
    STOP,
    is_id,
)

PLACES: Mapping[str, str] = MappingProxyType({REQUEST: "/requests", GRANT: "/grants", LEASE: "/leases"})
LISTS: Mapping[str, str] = MappingProxyType(
    {
        **PLACES,
        STOP: "/stops",
        PROPOSAL: "/catalog/proposals",
        ENVELOPE: "/envelopes",
        FINDING: "/findings",
        CAMPAIGN: "/campaigns",
        PASSKEY: "/passkeys",
        SESSION: "/sessions",
    }
)
"""Where the ids of each kind are listed."""
MOST_SEARCHED = 2000
MOST_SHOWN = 10
LONGEST_QUOTED = 40
_LENGTH_OF_KIND = 4


def whole_id(client: Client, given: str, kind: str) -> str:
    """Return the id of this kind that a text means.

    Args:
        client: where to look.
        given: an id, or a prefix of it with or without its kind.
        kind: one of `LISTS`.

    Raises:
        CommandFailed: none or several begin so, it is an id of another kind, or nothing of an id is given: the only thing that
            there is was not named by that.
    """
    if is_id(given, kind):
        return given
    other = next((each for each in LISTS if each != kind and given.startswith(each)), None)
    if other is not None:
        raise usage(f"{_quoted(given)} is an id of another kind; what is meant here begins with {kind}")
    prefix = given if given.startswith(kind) else kind + given
    found = [item for item in _ids(client, kind) if item.startswith(prefix)]
    the_one = _the_one(given, found)
    if prefix == kind:
        raise _no_id(given)
    return the_one


def whole_id_of_any_kind(client: Client, given: str) -> str:
    """Return the id that a text beginning with `req_`, `grt_` or `lse_` means.

    Raises:
        CommandFailed: it begins otherwise, or none or several ids begin so.
    """
    for kind in PLACES:
        if given.startswith(kind):
            return whole_id(client, given, kind)
    raise usage(f"{_quoted(given)} is no id; one begins with {', '.join(PLACES)}")


def whole_grant_id(client: Client, given: str) -> str:
    """Return the grant that a text means; its request or a lease drawn under it names it as well.

    Raises:
        CommandFailed: nothing begins so, several do, or the request has led to no grant.
    """
    for kind in (REQUEST, LEASE):
        if given.startswith(kind):
            thing = client.get(f"{PLACES[kind]}/{whole_id(client, given, kind)}")
            grant = thing.get("grant_id")
            if not isinstance(grant, str):
                state = thing.get("state")
                raise CommandFailed(
                    f"{thing.get('id')} is {state}; there is no grant",
                    exit_code=Exit.PENDING if state == "pending" else Exit.OVER,
                    code="no-grant",
                    hint=f"countersign show {thing.get('id')}",
                )
            return grant
    return whole_id(client, given, GRANT)


def whole_request_id(client: Client, given: str) -> str:
    """Return the request that a text means; its grant or a lease drawn under it names it as well.

    Raises:
        CommandFailed: nothing begins so, or several do.
    """
    for kind in (GRANT, LEASE):
        if given.startswith(kind):
            return text_of(client.get(f"{PLACES[kind]}/{whole_id(client, given, kind)}"), "request_id")
    return whole_id(client, given, REQUEST)


def find(client: Client, given: str) -> tuple[str, dict[str, Any]]:
    """Return the kind and the answer for anything: `req_`, `grt_`, `lse_`, or `entitlement`.

    Raises:
        CommandFailed: nothing begins so, or several things do.
    """
    for kind, place in PLACES.items():
        if given.startswith(kind):
            return kind, client.get(f"{place}/{whole_id(client, given, kind)}")
    entitlements = {str(item.get("id")): item for item in client.pages("/entitlements")}
    if given in entitlements:
        return "entitlement", entitlements[given]
    found = [item for kind in PLACES for item in _ids(client, kind) if item[_LENGTH_OF_KIND:].startswith(given)]
    the_one = _the_one(given, [*found, *(name for name in entitlements if name.startswith(given))])
    if not given:
        raise _no_id(given)
    if the_one in entitlements:
        return "entitlement", entitlements[the_one]
    kind = the_one[:_LENGTH_OF_KIND]
    return kind, client.get(f"{PLACES[kind]}/{segment(the_one)}")


def _ids(client: Client, kind: str) -> Iterator[str]:
    found = [str(item.get("id")) for item in islice(client.pages(LISTS[kind]), MOST_SEARCHED + 1)]
    if len(found) > MOST_SEARCHED:
        raise usage("there are too many to search; give the whole id")
    yield from (item for item in found if is_id(item, kind))


def _the_one(given: str, found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandFailed(
            f"nothing that you may see begins with {_quoted(given)}",
            exit_code=Exit.OVER,
            code="not-found",
            hint="countersign ls",
        )
    more = "" if len(found) <= MOST_SHOWN else f" and {len(found) - MOST_SHOWN} more"
    raise usage(f"{_quoted(given)} is ambiguous: {', '.join(found[:MOST_SHOWN])}{more}", hint="give more of the id")


def _no_id(given: str) -> CommandFailed:
    return usage(f"{_quoted(given)} names nothing", hint="give an id, or the first characters of one: countersign ls")


def _quoted(given: str) -> str:
    return repr(shortened(given, LONGEST_QUOTED))
