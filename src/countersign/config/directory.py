"""Reading the directory: `directory.toml` to `Directory`, with static separation of duties judged on persons."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from countersign.config.catalog import duplicates
from countersign.config.issuer_file import ClaimName, Subject
from countersign.config.problems import ConfigError, Problem, expected, located, problems_of, shown
from countersign.config.table import Name, SchemaVersion, Table, Value
from countersign.config.tomlfile import read_toml
from countersign.domain.environment import Environment, crosses_the_seal
from countersign.domain.people import CONFLICTS, Directory, Group, Person, Principal, Role


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _is_displayable(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise expected("printable characters on one line, without blanks at the ends")
    return text


def _is_sealed(environments: tuple[Environment, ...]) -> tuple[Environment, ...]:
    if crosses_the_seal(environments):
        raise expected("either production alone or others (production is sealed from the rest: another account)")
    return environments


Environments = Annotated[
    tuple[Annotated[Environment, Field(strict=False)], ...],
    Field(strict=False, min_length=1),
    AfterValidator(_is_sealed),
]


class PersonTable(Table):
    """`[[person]]`."""

    id: Name
    name: Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_is_displayable)]
    manager: Name | None = None


class PrincipalTable(Table):
    """`[[principal]]`; `subject` names a person at the `issuer`, `claims` are what a pipeline's tokens must say."""

    id: Name
    person: Name
    human: bool = True
    environments: Environments = (Environment.PRODUCTION,)
    issuer: Name | None = None
    subject: Subject | None = None
    claims: dict[ClaimName, Value] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_one_identity(self) -> Self:
        if self.issuer is None and (self.subject is not None or self.claims):
            raise expected("an issuer for the subject or the claims")
        if self.issuer is not None and self.human and (self.subject is None or self.claims):
            raise expected("a subject and no claims for a person at an issuer")
        if self.issuer is not None and not self.human and (self.subject is not None or not self.claims):
            raise expected("claims and no subject for a pipeline at an issuer")
        return self


class GroupTable(Table):
    """`[[group]]`."""

    id: Name
    members: Annotated[tuple[Name, ...], Field(strict=False)]
    roles: Annotated[tuple[Annotated[Role, Field(strict=False)], ...], Field(strict=False)] = ()


class DirectoryFile(Table):
    """The whole file."""

    schema_version: SchemaVersion = Field(alias="schema")
    person: Annotated[tuple[PersonTable, ...], Field(strict=False)] = ()
    principal: Annotated[tuple[PrincipalTable, ...], Field(strict=False)] = ()
    group: Annotated[tuple[GroupTable, ...], Field(strict=False)] = ()


def load_directory(path: Path) -> tuple[dict[str, Any], Directory]:
    """Return what `directory.toml` says, as it is kept, and the directory that it means.

    Raises:
        ConfigError: the file cannot be read, or `parse_directory` refuses it.
    """
    source = read_toml(path)
    return source, parse_directory(source)


def parse_directory(source: Mapping[str, Any]) -> Directory:
    """Return the directory that a source means; a source comes through JSON unchanged.

    A person without any principal acts through one of the same id.

    Raises:
        ConfigError: with every problem found.
    """
    try:
        file = DirectoryFile.model_validate(source)
    except ValidationError as error:
        raise ConfigError(problems_of(error, model=DirectoryFile, source=source)) from None
    problems = [
        *duplicates("person", file.person, source),
        *duplicates("principal", file.principal, source),
        *duplicates("group", file.group, source),
        *_look_alikes(file, source),
        *_managers(file, source),
        *_principals(file, source),
        *_identities(file, source),
        *_members(file, source),
    ]
    if problems:
        raise ConfigError(problems)
    directory = _directory(file)
    conflicts = list(_conflicts(directory))
    if conflicts:
        raise ConfigError(conflicts)
    return directory


def _look_alikes(file: DirectoryFile, source: object) -> Iterator[Problem]:
    """Refuse display names that a reviewer could take for one another; ids cannot differ in case or script at all."""
    first: dict[str, int] = {}
    for position, person in enumerate(file.person):
        earlier = first.setdefault(_folded(person.name), position)
        if earlier != position:
            yield Problem(
                where=located(["person", position, "name"], source),
                expected="a name that a reader tells from every other (two of one name: add the team, say)",
                got=f"{shown(person.name)}, which reads like that of person[{earlier}]",
            )


def _managers(file: DirectoryFile, source: object) -> Iterator[Problem]:
    """Refuse a reporting line that leads to nobody or, sooner or later, back to where it began."""
    managers = {person.id: person.manager for person in file.person}
    for position, person in enumerate(file.person):
        above, seen = person.manager, {person.id}
        while above is not None and above in managers and above not in seen:
            seen.add(above)
            above = managers[above]
        if above is not None:
            yield Problem(
                where=located(["person", position, "manager"], source),
                expected="the id of another [[person]], above whom this one does not stand",
                got=shown(above),
            )


def _principals(file: DirectoryFile, source: object) -> Iterator[Problem]:
    persons = {person.id for person in file.person}
    for position, principal in enumerate(file.principal):
        if principal.person not in persons:
            yield Problem(
                where=located(["principal", position, "person"], source),
                expected="the id of a [[person]]",
                got=shown(principal.person),
            )
        if principal.id in persons and principal.id != principal.person:
            yield Problem(
                where=located(["principal", position, "id"], source),
                expected="an id that is not another person's",
                got=f"{shown(principal.id)} for the person {shown(principal.person)}",
            )


def _identities(file: DirectoryFile, source: object) -> Iterator[Problem]:
    """Refuse one identity for two principals: it would be two persons, or one of two kinds."""
    first: dict[tuple[object, ...], int] = {}
    for position, principal in enumerate(file.principal):
        if principal.issuer is None:
            continue
        identity = (principal.issuer, principal.subject, tuple(sorted(principal.claims.items())))
        earlier = first.setdefault(identity, position)
        if earlier != position:
            key = "subject" if principal.human else "claims"
            yield Problem(
                where=located(["principal", position, key], source),
                expected="an identity that is no other principal's",
                got=f"that of principal[{earlier}]",
            )


def _members(file: DirectoryFile, source: object) -> Iterator[Problem]:
    persons = {person.id for person in file.person}
    others = {group.id: "a group; groups hold persons only" for group in file.group} | {
        item.id: f"a principal of {item.person}" for item in file.principal
    }
    for index, group in enumerate(file.group):
        seen: set[str] = set()
        for position, member in enumerate(group.members):
            where = located(["group", index, "members", position], source)
            if member not in persons:
                got = f"{shown(member)}, {others[member]}" if member in others else shown(member)
                yield Problem(where=where, expected="the id of a [[person]]", got=got)
            elif member in seen:
                yield Problem(where=where, expected="each person once", got=f"{shown(member)} again")
            seen.add(member)


def _conflicts(directory: Directory) -> Iterator[Problem]:
    for person in directory.persons:
        held = directory.roles_of(person)
        for one, other in CONFLICTS:
            if one in held and other in held:
                pairs = product(*(_giving(directory, person, role) for role in (one, other)))
                ways = ", ".join(f"{first} and {second}" for first, second in pairs)
                yield Problem(
                    where=f"person {shown(person)}",
                    expected=f"not both {one} and {other} (separation of duties)",
                    got=f"both, by the groups {ways}"[:200],
                )


def _giving(directory: Directory, person: str, role: Role) -> list[str]:
    return sorted(group for group in directory.groups_of(person) if role in directory.groups[group].roles)


def _directory(file: DirectoryFile) -> Directory:
    acting = {item.person for item in file.principal}
    implicit = [Principal(id=item.id, person=item.id) for item in file.person if item.id not in acting]
    explicit = [
        Principal(
            id=item.id,
            person=item.person,
            human=item.human,
            environments=frozenset(item.environments),
            issuer=item.issuer,
            subject=item.subject,
            claims=tuple(sorted(item.claims.items())),
        )
        for item in file.principal
    ]
    return Directory(
        persons={item.id: Person(id=item.id, name=item.name, manager=item.manager) for item in file.person},
        principals={item.id: item for item in (*explicit, *implicit)},
        groups={
            item.id: Group(id=item.id, members=frozenset(item.members), roles=frozenset(item.roles))
            for item in file.group
        },
    )
