"""The contract that every provider keeps, as tests over a small adapter: a `Rig`, which whoever writes a provider writes too.

Subclass `ProviderContract` in a test module and give it a fixture named `rig`; pytest collects the tests from there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from countersign.domain.ids import LEASE, is_id
from countersign.domain.lease import Evidence, Sighting, Standing
from countersign.providers.base import (
    Answer,
    Away,
    Credential,
    Issued,
    LeaseRef,
    Order,
    Provider,
    ProviderTrouble,
    Reservation,
    Stray,
)

CLOCKS_MAY_DIFFER = timedelta(seconds=10)
DEATH_WITHIN_S = 10.0
THREADS = 8


class Rig(Protocol):
    """What the contract needs to know of one provider and the real thing behind it.

    Attributes:
        lists_leases: `roll_call` can list what was issued (AWS has no listing of sessions).
        ends_reservations: a reservation that `end` met can no longer be issued.
        shortest_s: seconds of the shortest window that the natural end is tried with.
    """

    lists_leases: bool
    ends_reservations: bool
    shortest_s: float

    def provider(self) -> Provider:
        """Return a provider as a freshly started broker would have it: the same target, nothing remembered."""

    def order(self, *, seconds: float = 300) -> Order:
        """Return an order with a new lease id."""

    def works(self, credential: Credential) -> bool:
        """Say whether the credential works at the target, tried as its holder would; unwraps what is wrapped, once."""

    def now(self) -> datetime:
        """Return the target's time."""

    def wait_until(self, moment: datetime) -> None:
        """Return once the target's time has passed a moment; a fake moves its clock."""

    def away(self) -> AbstractContextManager[Provider]:
        """Hand out a provider that cannot reach the target at all."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One lease as a test holds it, and as the database would."""

    reservation: Reservation
    issued: Issued
    ref: LeaseRef


def reference(reservation: Reservation, issued: Issued | None = None) -> LeaseRef:
    """Return what the database holds of a lease: its order, and the handles that were committed."""
    order = reservation.order
    return LeaseRef(
        lease_id=order.lease_id,
        provider=str(order.target["provider"]),
        target=order.target,
        handle={**reservation.handle, **(issued.handle if issued else {})},
        prepared_at=order.now,
        not_after=order.not_after,
        backstop_at=order.backstop_at,
    )


def draw(rig: Rig, provider: Provider, *, seconds: float = 300) -> Drawn:
    """Reserve and issue."""
    reservation = provider.reserve(rig.order(seconds=seconds))
    issued = provider.issue(reservation)
    return Drawn(reservation=reservation, issued=issued, ref=reference(reservation, issued))


def look(provider: Provider, ref: LeaseRef) -> Sighting:
    """Look at one lease."""
    sightings = provider.look([ref])
    assert set(sightings) == {ref.lease_id}
    return sightings[ref.lease_id]


def end_and_see(provider: Provider, ref: LeaseRef) -> Sighting:
    """Do what the sweep does: order the end and look, again and again until death was seen."""
    deadline = time.monotonic() + DEATH_WITHIN_S
    while True:
        assert isinstance(provider.end(ref), Answer)
        sighting = look(provider, ref)
        if sighting.is_death:
            return sighting
        assert time.monotonic() < deadline, f"not seen dead in {DEATH_WITHIN_S} s: {sighting}"
        time.sleep(0.05)


def secrets_of(*issued: Issued) -> set[str]:
    """Return what must stay secret of these credentials: their fields of such names."""
    telling = ("password", "secret", "token")
    return {
        str(value)
        for one in issued
        for name, value in one.credential.fields.items()
        if any(word in name for word in telling) and isinstance(value, str) and len(value) > 7
    }


def is_plain(value: object) -> bool:
    """Say whether a value is JSON as the log takes it."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, str | int | bool)


class ProviderContract:
    """The tests. What a provider cannot promise its rig says, and the documentation too."""

    @pytest.fixture
    def provider(self, rig: Rig) -> Provider:
        return rig.provider()

    def test_a_preview_says_what_it_gives_and_makes_nothing(self, rig: Rig, provider: Provider) -> None:
        order = rig.order()
        before = sorted(str(stray) for stray in provider.roll_call([order.target]))
        first, again = provider.preview(order), provider.preview(order)
        assert first == again
        assert first.privileges
        assert all(first.privileges)
        assert first.latest_end_after_not_after_s >= 0
        assert sorted(str(stray) for stray in provider.roll_call([order.target])) == before
        with rig.away() as cut_off:
            assert cut_off.preview(order).privileges == first.privileges

    def test_a_reservation_is_a_handle_and_nothing_usable(self, rig: Rig, provider: Provider) -> None:
        reservation = provider.reserve(rig.order())
        assert is_plain(reservation.handle)
        if rig.ends_reservations:
            assert end_and_see(rig.provider(), reference(reservation)).is_death
            with pytest.raises(ProviderTrouble):
                provider.issue(reservation)
            assert look(provider, reference(reservation)).is_death
        else:
            provider.end(reference(reservation))

    def test_what_is_issued_works_until_it_is_ended_and_its_sibling_after(self, rig: Rig, provider: Provider) -> None:
        first, sibling = draw(rig, provider), draw(rig, provider)
        assert rig.works(first.issued.credential)
        assert look(provider, first.ref).standing is Standing.LIVE
        dead = end_and_see(provider, first.ref)
        assert dead.evidence is Evidence.OBSERVED
        assert not rig.works(first.issued.credential)
        assert look(provider, sibling.ref).standing is Standing.LIVE
        assert rig.works(sibling.issued.credential)
        end_and_see(provider, sibling.ref)
        assert not rig.works(sibling.issued.credential)

    def test_after_a_crash_the_committed_handle_is_enough(self, rig: Rig) -> None:
        drawn = draw(rig, rig.provider())
        restarted = rig.provider()
        only_reserved = reference(drawn.reservation)
        assert look(restarted, only_reserved).standing is Standing.LIVE
        end_and_see(restarted, only_reserved)
        assert not rig.works(drawn.issued.credential)

    def test_after_a_crash_before_the_handle_was_committed_the_name_is_enough(self, rig: Rig) -> None:
        drawn = draw(rig, rig.provider())
        restarted, bare = rig.provider(), replace(drawn.ref, handle={})
        assert look(restarted, bare).standing is Standing.LIVE
        end_and_see(restarted, bare)
        assert not rig.works(drawn.issued.credential)

    def test_ending_is_idempotent_and_what_never_was_ends_too(self, rig: Rig, provider: Provider) -> None:
        drawn = draw(rig, provider)
        end_and_see(provider, drawn.ref)
        provider.end(drawn.ref)
        provider.end(drawn.ref)
        assert look(provider, drawn.ref).is_death
        never = replace(drawn.ref, lease_id=rig.order().lease_id, handle={})
        end_and_see(provider, never)

    def test_it_ends_at_its_second_with_nobody_calling(self, rig: Rig, provider: Provider) -> None:
        drawn = draw(rig, provider, seconds=rig.shortest_s)
        assert drawn.issued.expires_at <= drawn.ref.not_after + timedelta(seconds=1)
        assert rig.works(drawn.issued.credential)
        rig.wait_until(drawn.ref.not_after)
        assert not rig.works(drawn.issued.credential)
        end_and_see(provider, drawn.ref)

    def test_a_look_never_raises_and_without_the_target_nothing_is_known(self, rig: Rig, provider: Provider) -> None:
        drawn = draw(rig, provider)
        with rig.away() as cut_off:
            sighting = look(cut_off, drawn.ref)
            assert sighting.standing is Standing.UNKNOWN
            assert not sighting.is_death
            with pytest.raises(Away):
                cut_off.end(drawn.ref)
            with pytest.raises(ProviderTrouble):
                cut_off.issue(cut_off.reserve(rig.order()))
        assert rig.works(drawn.issued.credential)
        end_and_see(provider, drawn.ref)

    def test_many_are_looked_at_apart_in_one_call(self, rig: Rig, provider: Provider) -> None:
        assert provider.look([]) == {}
        drawn = [draw(rig, provider) for _ in range(4)]
        for one in drawn[::2]:
            end_and_see(provider, one.ref)
        seen = provider.look([one.ref for one in drawn])
        assert [seen[one.ref.lease_id].is_death for one in drawn] == [True, False, True, False]
        for one in drawn[1::2]:
            end_and_see(provider, one.ref)

    def test_the_roll_holds_the_living_and_not_the_dead_and_strays_are_ended(
        self, rig: Rig, provider: Provider
    ) -> None:
        drawn, other = draw(rig, provider), draw(rig, provider)
        target = drawn.ref.target

        def listed() -> dict[str | None, list[Stray]]:
            found: dict[str | None, list[Stray]] = {}
            for stray in rig.provider().roll_call([target]):
                assert is_plain(stray.ref)
                assert stray.lease_id is None or is_id(stray.lease_id, LEASE)
                found.setdefault(stray.lease_id, []).append(stray)
            return found

        if rig.lists_leases:
            assert {drawn.ref.lease_id, other.ref.lease_id} <= set(listed())
            for stray in listed()[drawn.ref.lease_id]:
                provider.end_stray(stray)
            assert look(provider, drawn.ref).is_death
            assert not rig.works(drawn.issued.credential)
            assert look(provider, other.ref).standing is Standing.LIVE
        for one in (drawn, other):
            end_and_see(provider, one.ref)
        assert not {drawn.ref.lease_id, other.ref.lease_id} & set(listed())

    def test_nothing_but_the_credential_holds_the_secret(self, rig: Rig, provider: Provider) -> None:
        drawn = draw(rig, provider)
        shown: list[object] = [drawn, drawn.reservation, drawn.issued, provider, vars(provider)]
        shown += [drawn.issued.details, drawn.issued.handle, drawn.reservation.handle]
        shown += [look(provider, drawn.ref), *provider.roll_call([drawn.ref.target])]
        shown += self._complaints(provider, drawn)
        with rig.away() as cut_off:
            shown += self._complaints(cut_off, drawn)
        shown += [provider.end(drawn.ref), end_and_see(provider, drawn.ref)]
        secrets = secrets_of(drawn.issued)
        assert secrets, "the rig's credential has no field that looks like a secret"
        assert is_plain(drawn.issued.details)
        assert is_plain(drawn.issued.handle)
        text = "\n".join(f"{one}\n{one!r}" for one in shown)
        assert not [secret[:4] for secret in secrets if secret in text]

    def test_times_are_aware_and_within_ten_seconds(self, rig: Rig, provider: Provider) -> None:
        drawn = draw(rig, provider)
        assert drawn.issued.expires_at.tzinfo is not None
        assert drawn.issued.expires_at <= drawn.ref.backstop_at + CLOCKS_MAY_DIFFER
        assert drawn.issued.receipt_due is None or drawn.issued.receipt_due.tzinfo is not None
        began = rig.now()
        at = look(provider, drawn.ref).at
        assert at.tzinfo is not None
        assert abs(at.astimezone(UTC) - began) <= CLOCKS_MAY_DIFFER
        assert end_and_see(provider, drawn.ref).at >= at
        assert provider.received(drawn.ref) in {True, False, None}

    def test_eight_threads_draw_and_end_without_mixing_anything_up(self, rig: Rig, provider: Provider) -> None:
        def live(_: int) -> tuple[str, bool, bool]:
            drawn = draw(rig, provider)
            worked = rig.works(drawn.issued.credential)
            end_and_see(provider, drawn.ref)
            return drawn.ref.lease_id, worked, rig.works(drawn.issued.credential)

        with ThreadPoolExecutor(THREADS) as threads:
            lives = list(threads.map(live, range(THREADS)))
        assert len({lease_id for lease_id, _, _ in lives}) == THREADS
        assert [(worked, still) for _, worked, still in lives] == [(True, False)] * THREADS

    def _complaints(self, provider: Provider, drawn: Drawn) -> list[str]:
        """Return what is said of a second issue, which no provider serves in full."""
        try:
            again = provider.issue(drawn.reservation)
        except ProviderTrouble as trouble:
            return [str(trouble), repr(trouble), _chain(trouble)]
        return [repr(again)]


def _chain(trouble: BaseException) -> str:
    """Return what a traceback would show of where a trouble came from."""
    told: list[str] = []
    inner: BaseException | None = trouble
    while inner is not None:
        told.append(f"{inner!r} {inner.args}")
        inner = inner.__cause__ or (None if inner.__suppress_context__ else inner.__context__)
    return "\n".join(told)
