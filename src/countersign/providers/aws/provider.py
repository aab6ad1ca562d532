"""AWS behind the seam: sessions of STS, boxed in time by their own policy, ended early by a Deny, seen dead by canaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from threading import Lock
from time import monotonic
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from countersign.domain.lease import Evidence, Sighting, Standing
from countersign.domain.timestamps import spell
from countersign.providers.aws import box
from countersign.providers.aws.canary import REFUSED, SERVED, Canaries, Tried
from countersign.providers.aws.clock import AwsClock, Offset
from countersign.providers.aws.connection import BUSY, NOTHING_SENT, Connection, asking, code_of, status_of
from countersign.providers.aws.ended_list import POLICY_NAME
from countersign.providers.aws.grants import Allowed, render, residuals
from countersign.providers.aws.revoker import Revoker, Written
from countersign.providers.aws.settings import SHORTEST_STS_SESSION_S, AwsSettings, RoleTarget
from countersign.providers.base import (
    Answer,
    Away,
    Credential,
    Declined,
    Issued,
    LeaseRef,
    Order,
    OutcomeUnknown,
    Preview,
    Reservation,
    Stray,
    Unfit,
)

CLOCK_GRAIN_S = 1
"""AWS's Date header has whole seconds: by so much the box may be off when clocks differ by less."""

LATE_ARRIVAL = timedelta(minutes=15)
"""How long after it was signed AWS may still act on a request whose answer was lost."""

_UNKNOWN_CLOCK_MARGIN = timedelta(seconds=2)
"""Waited past a box's end while AWS's clock was never heard."""

_LOOK_FOR_S = 8.0
_LOOKERS = 4


@dataclass(frozen=True, kw_only=True)
class _Made:
    """An order turned into what AWS is asked."""

    target: RoleTarget
    allowed: tuple[Allowed, ...]


class AwsProvider:
    """Implements `countersign.providers.base.Provider` for targets of kind `aws-role`.

    Args:
        settings: where AWS is and who we are there.
        now: our clock (UTC, aware).
    """

    name = "aws"

    def __init__(self, settings: AwsSettings, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._connection = Connection(settings)
        self._clock = AwsClock(now)
        self._revoker = Revoker(self._connection.iam, self._clock)
        self._canaries = Canaries(connection=self._connection, clock=self._clock)
        self._written: dict[str, float] = {}
        self._written_lock = Lock()

    def preview(self, order: Order) -> Preview:
        """Say what the order would give, without calling anybody.

        Raises:
            Unfit: the provider could never serve it.
        """
        made = self._make(order)
        lines, longest = residuals(made.allowed)
        return Preview(
            privileges=(
                *(line for item in made.allowed for line in item.lines()),
                f"as a session of {made.target.role_arn} that AWS itself refuses from {box.spell_box(order.not_after)}",
            ),
            residual=lines,
            latest_end_after_not_after_s=max(CLOCK_GRAIN_S, longest),
        )

    def reserve(self, order: Order) -> Reservation:
        """Find out whether AWS would serve the order and leaves room to end it early; nothing is made.

        Raises:
            Unfit, Declined, Away: no credential exists.
        """
        made = self._make(order)
        began = monotonic()
        offset = self._fresh_offset()
        if monotonic() - began > _LOOK_FOR_S / 2:
            raise Away("AWS answers too slowly to make a session in time")
        self._revoker.demand_room(made.target)
        end = offset.to_aws(order.not_after)
        return Reservation(
            order=order,
            handle={
                "role_arn": made.target.role_arn,
                "session": order.lease_id,
                "box_end": box.spell_box(end),
                "duration_s": _duration_s(order, self._now()),
            },
        )

    def issue(self, reservation: Reservation) -> Issued:
        """Make the session, once, within ten seconds.

        Raises:
            Declined: AWS said no, or was not reached at all; nothing usable exists.
            OutcomeUnknown: everything else; the caller revokes.
        """
        order = reservation.order
        made = self._make(order)
        end = box.read_box(reservation.handle.get("box_end"))
        if end is None:
            raise Declined("the reservation names no box; nothing was sent")
        arguments = self._arguments(order, made, end)
        try:
            answer = self._clock.watch(lambda: self._connection.issuing_sts.assume_role(**arguments))
        except NOTHING_SENT as error:
            raise Declined(f"AWS could not be reached ({type(error).__name__}); nothing was sent") from None
        except ClientError as error:
            code, status = code_of(error), status_of(error)
            if 400 <= status < 500 and (code != "unreadable" or code in BUSY):  # noqa: PLR2004 - HTTP's client errors
                raise Declined(f"AWS refused the session: {code}") from None
            raise OutcomeUnknown(f"AWS failed while making the session: {code}") from None
        except (BotoCoreError, ValueError, KeyError, TypeError) as error:
            raise OutcomeUnknown(f"AWS's answer is missing or unreadable: {type(error).__name__}") from None
        return self._issued(order, made, answer, arguments)

    def end(self, ref: LeaseRef) -> Answer:
        """Deny the lease's sessions in the role; from `not_after` on the session's own box does it and nothing is written.

        Raises:
            Away: the Deny does not stand, or not for certain.
        """
        try:
            target = RoleTarget.of(ref.target, default_region=self._settings.region)
        except Unfit as error:
            raise Away(f"the lease's target cannot be read: {error}") from None
        if self._box_is_over(ref):
            return Answer(
                said={"deny": "not needed", "native": f"the session's own box ended at {spell(ref.not_after)}"}
            )
        until = max(ref.not_after, ref.prepared_at + timedelta(seconds=SHORTEST_STS_SESSION_S)) + LATE_ARRIVAL
        written = self._revoker.deny(target, ref.lease_id, until)
        self._remember(ref.lease_id, written)
        said: dict[str, Any] = {
            "deny": "written" if written.changed else "stands already",
            "role": target.role_arn,
            "policy": POLICY_NAME,
            "entries": written.entries,
            "characters": written.characters,
            "pruned": written.pruned,
        }
        if written.foreign:
            said["foreign"] = [dict(statement) for statement in written.foreign]
        return Answer(said=said)

    def look(self, refs: Sequence[LeaseRef]) -> Mapping[str, Sighting]:
        """Try a canary of each lease and, where any is refused, a sibling; never raises for AWS's trouble."""
        deadline = monotonic() + _LOOK_FOR_S
        if len(refs) == 1:
            return {refs[0].lease_id: self._look_at(refs[0], deadline)}
        with ThreadPoolExecutor(max_workers=_LOOKERS, thread_name_prefix="aws-look") as pool:
            sightings = pool.map(lambda ref: self._look_at(ref, deadline), refs)
            return {ref.lease_id: sighting for ref, sighting in zip(refs, sightings, strict=True)}

    def received(self, ref: LeaseRef) -> bool | None:  # noqa: ARG002 - the seam's signature
        """Return None: credentials of AWS are delivered directly."""
        return None

    def roll_call(self, targets: Sequence[Mapping[str, Any]]) -> Iterable[Stray]:
        """List what stands in the target roles' inline policies and is not ours. AWS has no listing of sessions.

        Raises:
            Away: the listing is incomplete.
        """
        found: list[Stray] = []
        seen: set[str] = set()
        for plain in targets:
            try:
                target = RoleTarget.of(plain, default_region=self._settings.region)
                if target.role_arn in seen:
                    continue
                seen.add(target.role_arn)
                unexpected = self._revoker.unexpected(target)
            except (Unfit, Declined) as error:
                raise Away(f"target {plain.get('id')}: {error}") from None
            found.extend(
                Stray(
                    lease_id=None,
                    target=target.id,
                    place="iam policy statement" if "statement" in item else "iam inline policy",
                    ref={"role_arn": target.role_arn, **item},
                )
                for item in unexpected
            )
        return found

    def end_stray(self, stray: Stray) -> Answer:
        """Leave a foreign statement where it is and say so: what somebody else wrote, a person must judge."""
        return Answer(said={"left": stray.place, "why": "written by somebody else; look at it and remove it by hand"})

    def stop_role(self, target: Mapping[str, Any]) -> Answer:
        """Deny every session of a target's role made before now, ours or not: the emergency stop.

        Raises:
            Unfit: the target is no aws-role.
            Away: it does not stand, or not for certain.
        """
        role = RoleTarget.of(target, default_region=self._settings.region)
        moment = self._clock.time() + timedelta(seconds=CLOCK_GRAIN_S)
        return Answer(said=self._revoker.stop(role, moment))

    def _make(self, order: Order) -> _Made:
        """Judge everything that AWS would refuse (and an emulator might accept) before anybody is asked."""
        target = RoleTarget.of(order.target, default_region=self._settings.region)
        allowed = render(order.grants, order.parameters, target)
        made = _Made(target=target, allowed=allowed)
        longest = target.longest_session_s
        wanted = ceil((order.not_after - order.now).total_seconds())
        if wanted <= 0:
            raise Unfit("the access would end before it begins", field="duration_s")
        if wanted > longest:
            why = "the broker itself runs on a role, and AWS caps such sessions at 1 h" if target.chained else ""
            why = why or f"the role's own maximum is {longest} s"
            raise Unfit(f"duration_s of {wanted} s is more than AWS gives: {why}", field="duration_s")
        self._arguments(order, made, order.not_after)
        return made

    def _arguments(self, order: Order, made: _Made, end: datetime) -> dict[str, Any]:
        return box.assume_role_arguments(
            role_arn=made.target.role_arn,
            session_name=order.lease_id,
            policy=box.session_policy(made.allowed, end),
            duration_s=_duration_s(order, order.now),
            lease_id=order.lease_id,
            request=order.request_id,
            person=order.person,
        )

    def _issued(self, order: Order, made: _Made, answer: Mapping[str, Any], asked: Mapping[str, Any]) -> Issued:
        credentials, user = answer.get("Credentials"), answer.get("AssumedRoleUser")
        if not isinstance(credentials, Mapping) or not isinstance(user, Mapping):
            raise OutcomeUnknown("AWS's answer holds no credentials")
        keys = [credentials.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
        expiration, said_id = credentials.get("Expiration"), str(user.get("AssumedRoleId", ""))
        if not all(isinstance(key, str) and key for key in keys) or not isinstance(expiration, datetime):
            raise OutcomeUnknown("AWS's answer holds incomplete credentials")
        if said_id.partition(":")[2] != order.lease_id:
            raise OutcomeUnknown("AWS made a session of another name, which the lease could not end")
        if answer.get("SourceIdentity", asked["SourceIdentity"]) != asked["SourceIdentity"]:
            raise OutcomeUnknown("AWS set another source identity")
        fields: dict[str, Any] = {
            "access_key_id": keys[0],
            "secret_access_key": keys[1],
            "session_token": keys[2],
            "region": made.target.region,
            "expiration": spell(order.not_after),
        }
        if self._settings.endpoint_url is not None:
            fields["endpoint_url"] = self._settings.endpoint_url
        return Issued(
            credential=Credential(kind="aws", fields=fields),
            expires_at=order.not_after,
            handle={"assumed_role_id": said_id},
            details={
                "assumed_role_id": said_id,
                "source_identity": asked["SourceIdentity"],
                "sts_expiration": spell(expiration),
                "duration_s": asked["DurationSeconds"],
                "policy_characters": len(asked["Policy"]),
                "packed_policy_percent": answer.get("PackedPolicySize", 0),
                **self._clock.spoken(),
            },
        )

    def _fresh_offset(self) -> Offset:
        if not self._clock.is_fresh:
            with asking("who we are"):
                self._clock.watch(self._connection.sts.get_caller_identity)
        offset = self._clock.offset()
        if offset is None:
            raise Away("AWS does not say what time it is")
        return offset

    def _look_at(self, ref: LeaseRef, deadline: float) -> Sighting:
        at = self._now()
        try:
            target = RoleTarget.of(ref.target, default_region=self._settings.region)
        except Unfit as error:
            return Sighting(standing=Standing.UNKNOWN, at=at, seen={"target": str(error)})
        if target.probe is None:
            return self._computed(ref, at)
        if monotonic() > deadline:
            return Sighting(standing=Standing.UNKNOWN, at=at, seen={"canary": "not tried (no time left in this pass)"})
        canary = self._canaries.of_lease(target, target.probe, ref.lease_id, self._box_end(ref))
        sibling = self._canaries.sibling(target, target.probe, ref.lease_id) if canary.outcome == REFUSED else None
        return Sighting(
            standing=_standing(canary, sibling),
            at=self._now(),
            seen={
                "probe": f"{target.probe.action} on {target.probe.resource}",
                "canary": canary.spoken(),
                "sibling": "not needed" if sibling is None else sibling.spoken(),
                "delay_ms": self._delay_ms(ref.lease_id),
            },
        )

    def _box_end(self, ref: LeaseRef) -> datetime:
        """Return the end that the session's policy names, by AWS's clock; worked out anew where the handle was lost."""
        offset = self._clock.offset()
        worked_out = ref.not_after if offset is None else offset.to_aws(ref.not_after)
        return box.read_box(ref.handle.get("box_end")) or worked_out

    def _box_is_over(self, ref: LeaseRef) -> bool:
        margin = _UNKNOWN_CLOCK_MARGIN if self._clock.offset() is None else timedelta(0)
        return self._now() >= ref.not_after and self._clock.time() >= self._box_end(ref) + margin

    def _computed(self, ref: LeaseRef, at: datetime) -> Sighting:
        over = self._box_is_over(ref)
        return Sighting(
            standing=Standing.DENIED if over else Standing.UNKNOWN,
            at=at,
            evidence=Evidence.COMPUTED,
            seen={"probe": "none configured", "box_end": box.spell_box(self._box_end(ref))},
        )

    def _remember(self, lease_id: str, written: Written) -> None:
        with self._written_lock:
            if written.changed:
                self._written.setdefault(lease_id, written.monotonic_at)
            while len(self._written) > 1000:  # noqa: PLR2004 - only to measure; the oldest are forgotten
                del self._written[next(iter(self._written))]

    def _delay_ms(self, lease_id: str) -> int | None:
        with self._written_lock:
            at = self._written.get(lease_id)
        return None if at is None else round((monotonic() - at) * 1000)


def _standing(canary: Tried, sibling: Tried | None) -> Standing:
    if canary.outcome == SERVED:
        return Standing.LIVE
    if canary.outcome == REFUSED and sibling is not None and sibling.outcome == SERVED:
        return Standing.DENIED
    return Standing.UNKNOWN


def _duration_s(order: Order, now: datetime) -> int:
    """Return how long the STS session itself lives: at least AWS's 900 s; the policy ends it sooner."""
    return max(SHORTEST_STS_SESSION_S, ceil((order.not_after - now).total_seconds()))
