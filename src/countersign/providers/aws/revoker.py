"""Writes the list of ended leases into a target role: one writer per role, read-modify-write, several ends in one write.

AWS offers no compare-and-set here, and a write that is lost to another writer revives a lease that was seen dead. So writers take
turns: within this process by a lock, among brokers of one database by a turn that the database gives.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from botocore.exceptions import ClientError

from countersign.providers.aws.box import spell_box
from countersign.providers.aws.clock import AwsClock
from countersign.providers.aws.connection import asking, code_of
from countersign.providers.aws.ended_list import (
    ENTRY_CHARACTERS,
    POLICY_NAME,
    STATEMENT_CHARACTERS,
    EndedList,
    size_of,
)
from countersign.providers.aws.settings import INLINE_BUDGET_CHARACTERS, RoleTarget
from countersign.providers.base import Away, Declined

Turn = Callable[[str], AbstractContextManager[object]]
STOP_POLICY_NAME = "CountersignStopped"
ROOM_KNOWN_FOR_S = 5.0
_OURS = frozenset({POLICY_NAME, STOP_POLICY_NAME})
_MOST_POLICIES_READ = 20


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a write of the list came to."""

    entries: int
    characters: int
    pruned: int
    foreign: tuple[Mapping[str, Any], ...]
    changed: bool
    monotonic_at: float


@dataclass
class _Role:
    writing: threading.Lock = field(default_factory=threading.Lock)
    waiting: dict[str, datetime] = field(default_factory=dict)
    done: dict[str, Written] = field(default_factory=dict)
    room: tuple[float, int] | None = None


class Revoker:
    """Acts as the principal that may write inline policies of the target roles, and does nothing else.

    Args:
        iam: a boto3 IAM client of that principal.
        clock: AWS's clock, by which entries expire; it learns from every answer.
        turn: holds every other broker off a role, by its ARN, while it is open.
    """

    def __init__(self, iam: Any, clock: AwsClock, turn: Turn = nullcontext) -> None:  # noqa: ANN401 - boto3 clients have no types
        self._iam = iam
        self._clock = clock
        self._turn = turn
        self._guard = threading.Lock()
        self._roles: dict[str, _Role] = {}

    def deny(self, target: RoleTarget, lease_id: str, until: datetime) -> Written:
        """Enter a lease into the role's list; leases that wait for the same role go in with the same write.

        Raises:
            Away: the entry does not stand, or not for certain.
        """
        role = self._role(target)
        with self._guard:
            role.waiting[lease_id] = until
        try:
            with role.writing:
                with self._guard:
                    finished = role.done.pop(lease_id, None)
                    batch = dict(role.waiting)
                if finished is not None:
                    return finished
                written = self._write(target, batch)
                with self._guard:
                    role.done.update({each: written for each in batch if each != lease_id and each in role.waiting})
                return written
        finally:
            with self._guard:
                role.waiting.pop(lease_id, None)
                role.done.pop(lease_id, None)

    def stop(self, target: RoleTarget, moment: datetime) -> Mapping[str, Any]:
        """Deny every session of the role that was made before `moment`: the emergency stop, which spares nobody.

        Raises:
            Away: it does not stand, or not for certain.
        """
        statement = {
            "Sid": "CountersignStopped",
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"DateLessThan": {"aws:TokenIssueTime": spell_box(moment)}},
        }
        with self._role(target).writing, _ending("the emergency stop"):
            self._iam.put_role_policy(
                RoleName=target.role_name,
                PolicyName=STOP_POLICY_NAME,
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":")),
            )
        return {"stop": "written", "role": target.role_arn, "sessions_before": spell_box(moment)}

    def read(self, target: RoleTarget) -> EndedList:
        """Return the role's list as it stands.

        Raises:
            Declined, Away: it could not be read.
        """
        with asking("the list of ended leases"):
            return self._read(target)

    def demand_room(self, target: RoleTarget) -> int:
        """Return the characters left in the role's inline budget, or refuse when too few are left to end what may be open.

        What was found a few seconds ago is believed, unless this process wrote since: the room kept free covers the rest.

        Raises:
            Declined: too few are left.
            Away: it could not be found out.
        """
        role = self._role(target)
        known = role.room
        if known is None or monotonic() - known[0] > ROOM_KNOWN_FOR_S:
            with asking("the role's inline policies"):
                used = sum(size_of(document) for document in self._inline(target).values())
            known = role.room = (monotonic(), INLINE_BUDGET_CHARACTERS - used)
        free = known[1]
        needed = target.open_leases * ENTRY_CHARACTERS + STATEMENT_CHARACTERS
        if free < needed:
            raise Declined(
                f"role {target.role_name} has {free} of {INLINE_BUDGET_CHARACTERS} characters left for its inline policies; "
                f"{needed} are kept free so that everything open can be ended early; no new session is made until entries expire"
            )
        return free

    def unexpected(self, target: RoleTarget) -> list[dict[str, Any]]:
        """Return what stands in the role's inline policies and is not ours: statements in our list, and whole policies.

        Raises:
            Declined, Away: they could not be listed.
        """
        with asking("the role's inline policies"):
            documents = self._inline(target)
        found: list[dict[str, Any]] = [
            {"policy": POLICY_NAME, "statement": dict(statement)}
            for statement in EndedList.read(documents.get(POLICY_NAME)).foreign
        ]
        known = _OURS | set(target.inline_policies)
        found.extend({"policy": name} for name in sorted(documents) if name not in known)
        return found

    def _write(self, target: RoleTarget, batch: Mapping[str, datetime]) -> Written:
        with self._turn(target.role_arn), _ending("the write of the Deny"):
            before = self._read(target)
            after = before.pruned(self._clock.time())
            pruned = len(before) - len(after)
            for lease_id, until in batch.items():
                after = after.with_entry(lease_id, until)
            changed = after.entries != before.entries
            if after.characters() > INLINE_BUDGET_CHARACTERS:
                raise Away(f"role {target.role_name} has no room for another Deny; stop the role, or wait for the box")
            document = after.document()
            if changed and document is not None:
                self._role(target).room = None
                self._iam.put_role_policy(RoleName=target.role_name, PolicyName=POLICY_NAME, PolicyDocument=document)
        return Written(
            entries=len(after),
            characters=after.characters(),
            pruned=pruned,
            foreign=after.foreign,
            changed=changed,
            monotonic_at=monotonic(),
        )

    def _read(self, target: RoleTarget) -> EndedList:
        return EndedList.read(self._document(target, POLICY_NAME))

    def _document(self, target: RoleTarget, name: str) -> object:
        try:
            answer = self._clock.watch(
                lambda: self._iam.get_role_policy(RoleName=target.role_name, PolicyName=name),
            )
        except ClientError as error:
            if code_of(error) == "NoSuchEntity":
                return None
            raise
        return answer["PolicyDocument"]

    def _inline(self, target: RoleTarget) -> dict[str, object]:
        names = self._iam.list_role_policies(RoleName=target.role_name)["PolicyNames"]
        if len(names) > _MOST_POLICIES_READ:
            raise Declined(
                f"role {target.role_name} has {len(names)} inline policies; that many are not looked through"
            )
        return {name: self._document(target, name) for name in names}

    def _role(self, target: RoleTarget) -> _Role:
        with self._guard:
            return self._roles.setdefault(target.role_arn, _Role())


@contextmanager
def _ending(what: str) -> Iterator[None]:
    """A refused end is as bad as an unheard one: both are repeated for ever."""
    try:
        with asking(what):
            yield
    except Declined as no:
        raise Away(str(no)) from None
