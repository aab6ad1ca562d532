"""What an AWS entitlement gives beyond any task, said to its author and to who approves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from countersign.providers.aws.grants import Allowed

_READS = ("get", "list", "describe", "head", "batchget")


def dangers_of(allowed: Sequence[Allowed]) -> tuple[str, ...]:
    """Return a line for each grant that is wider than its words look."""
    return tuple(dict.fromkeys(line for item in allowed for line in _of_statement(item)))


def _of_statement(item: Allowed) -> Iterator[str]:
    everywhere = "*" in item.resources and not item.conditions
    for action in item.actions:
        service, _, name = action.partition(":")
        if name.startswith("*"):
            where = "on everything in the account" if everywhere else "on what is named"
            yield f"{action}: every act of {service} {where}, those that outlive the end too"
        elif everywhere and not name.lower().startswith(_READS):
            yield f"{action} on *: on everything in the account"
