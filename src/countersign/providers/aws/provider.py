"""AWS behind the seam: sessions of STS, boxed in time by their own policy, ended early by a Deny, seen dead by canaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Any

from botocore.exceptions import ClientError

from countersign.domain.lease import Sighting
from countersign.providers.aws.box import read_box, spell_box
from countersign.providers.aws.clock import AwsClock, Offset
from countersign.providers.aws.connection import (
    NOTHING_SENT,
    UNREADABLE,
    Connection,
    asking,
    code_of,
    is_refusal,
)
from countersign.providers.aws.ended_list import POLICY_NAME
from countersign.providers.aws.lookout import Lookout, Watched
from countersign.providers.aws.revoker import Revoker, Turn, Written
from countersign.providers.aws.sessions import CLOCK_GRAIN_S, issued, plan, preview
from countersign.providers.aws.settings import SHORTEST_STS_SESSION_S, AwsSettings, RoleTarget
from countersign.providers.base import (
    Answer,
    Away,
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

LATE_ARRIVAL = timedelta(minutes=15)
"""How long after it was signed AWS may still act on a request whose answer was lost."""

_UNKNOWN_CLOCK_MARGIN = timedelta(seconds=2)
"""Waited past a box's end while AWS's clock was never heard."""

_RESERVE_WITHIN_S = 5.0
_REMEMBERED_WRITES = 1000


class AwsProvider:
    """Implements `countersign.providers.base.Provider` for targets of kind `aws-role`.

    Args:
        settings: where AWS is and who we are there.
        now: our clock (UTC, aware).
        turn: holds other brokers off a role's policy while we write it; see `Revoker`.
    """

    name = "aws"
    ends_at_once = 24

    def __init__(self, settings: AwsSettings, *, now: Callable[[], datetime], turn: Turn = nullcontext) -> None:
        self._settings = settings
        self._now = now
        self._connection = Connection(settings)
        self._clock = AwsClock(now)
        self._revoker = Revoker(self._connection.iam, self._clock, turn)
        self._lookout = Lookout(connection=self._connection, clock=self._clock, now=now)
        self._written: dict[str, float] = {}
        self._written_lock = Lock()

    def preview(self, order: Order) -> Preview:
        """Say what the order would give, without calling anybody.

        Raises:
            Unfit: the provider could never serve it.
        """
        return preview(order, default_region=self._settings.region)

    def reserve(self, order: Order) -> Reservation:
        """Find out whether AWS would serve the order and leaves room to end it early; nothing is made.

        Raises:
            Unfit, Declined, Away: no credential exists.
        """
        planned = plan(order, default_region=self._settings.region)
        began = monotonic()
        offset = self._fresh_offset()
        if monotonic() - began > _RESERVE_WITHIN_S:
            raise Away("AWS answers too slowly to make a session in time")
        self._revoker.demand_room(planned.target)
        box_end = offset.to_aws(order.not_after)
        return Reservation(
            order=order,
            handle={"role_arn": planned.target.role_arn, "session": order.lease_id, "box_end": spell_box(box_end)},
        )

    def issue(self, reservation: Reservation) -> Issued:
        """Make the session, once, within ten seconds.

        Raises:
            Declined: AWS said no, or was not reached at all; nothing usable exists.
            OutcomeUnknown: everything else; the caller revokes.
        """
        planned = plan(reservation.order, default_region=self._settings.region)
        box_end = read_box(reservation.handle.get("box_end"))
        if box_end is None:
            raise Declined("the reservation names no box; nothing was sent")
        arguments = planned.arguments(box_end)
        answer = self._assume(arguments)
        made = issued(planned, arguments, answer, box_end=box_end, endpoint_url=self._settings.endpoint_url)
        return Issued(
            credential=made.credential,
            expires_at=made.expires_at,
            handle=made.handle,
            details={**made.details, **self._clock.spoken()},
        )

    def end(self, ref: LeaseRef) -> Answer:
        """Deny the lease's sessions in the role; once its own box is over, nothing needs writing.

        Raises:
            Away: the Deny does not stand, or not for certain.
        """
        if self._box_is_over(ref):
            box_end = spell_box(self._box_end(ref))
            return Answer(said={"deny": "not needed", "native": f"the session's own policy ended it at {box_end}"})
        try:
            target = RoleTarget.of(ref.target, default_region=self._settings.region)
        except Unfit as error:
            raise Away(f"the lease's target cannot be read: {error}") from None
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
        return self._lookout.look([self._watched(ref) for ref in refs])

    def received(self, ref: LeaseRef) -> bool | None:  # noqa: ARG002 - the seam's signature
        """Return None: credentials of AWS are delivered directly."""
        return None

    def roll_call(self, targets: Sequence[Mapping[str, Any]]) -> Iterable[Stray]:
        """List what stands in the target roles' inline policies and is not ours. AWS has no listing of sessions.

        Raises:
            Away: the listing is incomplete.
        """
        found: dict[str, list[Stray]] = {}
        for plain in targets:
            try:
                target = RoleTarget.of(plain, default_region=self._settings.region)
                if target.role_arn in found:
                    continue
                unexpected = self._revoker.unexpected(target)
            except (Unfit, Declined) as error:
                raise Away(f"target {plain.get('id')}: {error}") from None
            found[target.role_arn] = [
                Stray(
                    lease_id=None,
                    target=target.id,
                    place="iam policy statement" if "statement" in item else "iam inline policy",
                    ref={"role_arn": target.role_arn, **item},
                )
                for item in unexpected
            ]
        return [stray for strays in found.values() for stray in strays]

    def end_stray(self, stray: Stray) -> Answer:
        """Leave a foreign statement where it is and say so: what somebody else wrote, a person must judge."""
        return Answer(said={"left": stray.place, "why": "written by somebody else; look at it and remove it by hand"})

    def stop_target(self, target: Mapping[str, Any], *, before: datetime) -> Answer:
        """Deny every session of a target's role that was made before a moment, ours or not: the emergency stop.

        Raises:
            Unfit: the target is no aws-role.
            Away: it does not stand, or not for certain.
        """
        role = RoleTarget.of(target, default_region=self._settings.region)
        offset = self._fresh_offset()
        return Answer(said=self._revoker.stop(role, offset.to_aws(before) + timedelta(seconds=CLOCK_GRAIN_S)))

    def _assume(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        trouble: Declined | OutcomeUnknown
        try:
            return self._clock.watch(lambda: self._connection.issuing_sts.assume_role(**arguments))
        except NOTHING_SENT as error:
            trouble = Declined(f"AWS could not be reached ({type(error).__name__}); nothing was sent")
        except ClientError as error:
            if is_refusal(error):
                trouble = Declined(f"AWS refused the session: {code_of(error)}")
            else:
                trouble = OutcomeUnknown(f"AWS failed while making the session: {code_of(error)}")
        except UNREADABLE as error:
            trouble = OutcomeUnknown(f"AWS's answer is missing or unreadable: {type(error).__name__}")
        # Outside of the handlers: botocore's error may quote the answer, and the answer may hold a key.
        raise trouble

    def _fresh_offset(self) -> Offset:
        if not self._clock.is_fresh:
            with asking("who we are"):
                self._clock.watch(self._connection.sts.get_caller_identity)
        offset = self._clock.offset()
        if offset is None:
            raise Away("AWS does not say what time it is")
        return offset

    def _box_end(self, ref: LeaseRef) -> datetime:
        """Return the end that the session's policy names, by AWS's clock; worked out anew where the handle was lost."""
        offset = self._clock.offset()
        worked_out = ref.not_after if offset is None else offset.to_aws(ref.not_after)
        return read_box(ref.handle.get("box_end")) or worked_out

    def _box_is_over(self, ref: LeaseRef) -> bool:
        margin = _UNKNOWN_CLOCK_MARGIN if self._clock.offset() is None else timedelta(0)
        return self._now() >= ref.not_after and self._clock.time() >= self._box_end(ref) + margin

    def _watched(self, ref: LeaseRef) -> Watched:
        with self._written_lock:
            written_at = self._written.get(ref.lease_id)
        try:
            target = RoleTarget.of(ref.target, default_region=self._settings.region)
        except Unfit:
            target = None
        return Watched(
            lease_id=ref.lease_id,
            target=target,
            box_end=self._box_end(ref),
            box_is_over=self._box_is_over(ref),
            written_at=written_at,
        )

    def _remember(self, lease_id: str, written: Written) -> None:
        """Keep when a Deny was written, only to measure how long it takes to arrive."""
        with self._written_lock:
            self._written.setdefault(lease_id, written.monotonic_at)
            while len(self._written) > _REMEMBERED_WRITES:
                del self._written[next(iter(self._written))]
