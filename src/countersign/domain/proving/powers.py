"""The stated powers: what each role can do alone, and who outside the rules can do more, with where it would be seen.

The rule language binds the roles. It binds neither who runs the machine nor who administers what the broker relies on; they stand
here so that a clean proof is not read as saying that they could not.
"""

from __future__ import annotations

from countersign.domain.people import Directory, Role
from countersign.domain.proving.proof import People, Power

NOTHING = "nothing"
ROLES: tuple[tuple[Role, str], ...] = (
    (Role.REQUESTER, "asks, withdraws, draws what others approved, hands back"),
    (Role.APPROVER, "signs for others in the rules that name a group of theirs; revokes what they signed"),
    (Role.ON_CALL, "stops access; lifts a stop that someone else placed"),
    (Role.OPERATOR, "stops access, lifts a stop that someone else placed, revokes grants, disables persons"),
    (
        Role.CATALOG_AUTHOR,
        "proposes other rules, approves another author's proposal; neither asks nor signs under either",
    ),
    (Role.AUDITOR, "reads everything, the log included"),
)
OUTSIDE: tuple[tuple[str, str, str, str], ...] = (
    (
        "two catalog authors together",
        "bring any other rules, persons, accounts and groups into force",
        "nothing; the two together, everything",
        "the log: rulebook.proposed and rulebook.adopted facts with both names and digests",
    ),
    (
        "who founds the broker on an empty database",
        "brings the first rules, persons, accounts and groups into force",
        "everything",
        "the log: its first rulebook.adopted fact, whose digests are to be those above",
    ),
    (
        "the administrator of the broker's host",
        "reads tokens and keys in memory, runs another program in the broker's place",
        "everything",
        "at the providers' own audit logs; in the log only what the real broker wrote",
    ),
    (
        "the administrator of the broker's database",
        "writes rows that look like requests, reviews and tokens",
        "everything",
        "verification of the log against a checkpoint kept elsewhere, when entries were changed or removed",
    ),
    (
        "who issues or resets sign-ins",
        "acts as any person, one after the other",
        "everything",
        "the log names the account; the persons are told by their own requests and reviews",
    ),
    (
        "administrators of OpenBao, of the cloud accounts and of the targets",
        "make credentials without the broker",
        "everything there",
        "the providers' own audit logs; the broker's reconciliation, where it bears a name of ours",
    ),
)


def powers(directory: Directory) -> tuple[Power, ...]:
    """Return the powers of every role in this directory, then those that no rule binds."""
    seen = "every act is a fact in the log"
    bound = tuple(
        Power(
            who=role.value,
            holders=People.of(directory.holders(role)),
            power=power,
            reaches=NOTHING,
            seen=seen,
            by_the_rules=True,
        )
        for role, power in ROLES
    )
    return bound + tuple(
        Power(who=who, holders=None, power=power, reaches=reaches, seen=where, by_the_rules=False)
        for who, power, reaches, where in OUTSIDE
    )
