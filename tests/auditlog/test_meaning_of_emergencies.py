"""Break-glass in the replay: honest emergencies raise no alarm, and a lie about one is named by its entry."""

from __future__ import annotations

import copy
from functools import cache

import pytest
from tests.auditlog.forging import Forgery, Log, Row, about, place, rows_of, verified
from tests.emergencies import GLASS_CATALOG, with_groups
from tests.quick import quick_world
from tests.service.test_break_glass import envelope, grant_of, look_back, open_, opened, sign

from countersign.auditlog.meaning import MeaningCheck
from countersign.domain.canonical import digest


@cache
def _honest() -> tuple[Row, ...]:
    with quick_world(catalog=GLASS_CATALOG, directory=with_groups()) as world:
        view = envelope(world, "bob", "bob", "carol")
        world.clock.forward(hours=1)
        grant = grant_of(world, open_(world, view))
        world.draw(grant, "nina")
        world.clock.forward(seconds=61)
        world.sweep()
        drawn = opened(world, by="bob")
        world.draw(drawn)
        world.clock.forward(seconds=61)
        world.sweep()
        look_back(world, "carol", drawn)
        unused = envelope(world, "bob", "carol")
        sign(world, "bob", unused)
        world.broker.envelopes.revoke(world.principal("olga"), unused.envelope.id)
        return tuple(rows_of(world))


def honest() -> Log:
    return copy.deepcopy(list(_honest()))


def opening(log: Log) -> int:
    """Return the index of the request that opened the envelope."""
    return next(i for i, row in enumerate(log) if row["type"] == "request.submitted" and row["actor"] == "nina")


def test_honest_emergencies_are_borne_out() -> None:
    assert verified(honest()).failures == ()


def test_a_word_that_is_owed_for_too_long_is_told_and_breaks_nothing() -> None:
    log = honest()
    late = copy.deepcopy(log[-1]) | {"type": "broker.started", "at": "2026-11-23T12:00:00.000Z", "data": {}}
    check = MeaningCheck()
    for index, row in enumerate([*log, late]):
        check.feed(index, row)
    told = [(found.code, found.severity.value) for found in check.finish()]
    assert told == [("emergency-unreviewed", "high")]


def signature_removed(log: Log) -> int:
    del log[place(log, "envelope.signed", 1)]
    return opening(log)


def signed_twice_by_one(log: Log) -> int:
    forged = place(log, "envelope.signed", 1)
    log[forged]["actor"] = "bob"
    return forged


def signed_something_else(log: Log) -> int:
    forged = place(log, "envelope.signed", 1)
    log[forged]["data"]["digest"] = "0" * 64
    return forged


def envelope_removed(log: Log) -> int:
    del log[place(log, "envelope.proposed", 0)]
    return place(log, "envelope.signed", 0)


def envelope_widened(log: Log) -> int:
    forged = place(log, "envelope.proposed", 0)
    log[forged]["data"]["statement"]["uses"] = 20
    return forged


def narrowed(key: str, value: object) -> Forgery:
    def forge(log: Log) -> int:
        """Rewrite what was signed, digests and all, so that it does not cover the opening."""
        data = log[place(log, "envelope.proposed", 0)]["data"]
        data["statement"][key] = value
        data["digest"] = digest("countersign/envelope/v1", data["statement"])
        for index in (place(log, "envelope.signed", 0), place(log, "envelope.signed", 1)):
            log[index]["data"]["digest"] = data["digest"]
        return opening(log)

    return forge


def opened_by_a_signer(log: Log) -> int:
    forged = place(log, "envelope.signed", 0)
    log[forged]["actor"] = "nina"
    return opening(log)


def revoked_before_it_was_opened(log: Log) -> int:
    revoked = log.pop(place(log, "envelope.revoked", 0))
    first = log[place(log, "envelope.proposed", 0)]["subject"]
    at = opening(log)
    log.insert(at, revoked | {"subject": first, "at": log[at]["at"]})
    return at + 1


def revoked_before_it_was_drawn(log: Log) -> int:
    revoked = log.pop(place(log, "envelope.revoked", 0))
    first = log[place(log, "envelope.proposed", 0)]["subject"]
    at = place(log, "lease.prepared", 0)
    log.insert(at, revoked | {"subject": first, "at": log[at]["at"]})
    return at + 1


def nobody_was_told(log: Log) -> int:
    del log[place(log, "break-glass.opened", 0)]
    return place(log, "lease.prepared", 0)


def told_of_what_was_none(log: Log) -> int:
    forged = place(log, "break-glass.opened", 0)
    log[forged]["data"]["person"] = "alice"
    return forged


def looked_back_on_by_who_granted_it(log: Log) -> int:
    forged = place(log, "break-glass.reviewed", 0)
    log[forged]["actor"] = "bob"
    return forged


def looked_back_on_twice(log: Log) -> int:
    forged = place(log, "break-glass.reviewed", 0)
    log.insert(forged + 1, copy.deepcopy(log[forged]))
    return forged + 1


def drawn_on_other_signatures(log: Log) -> int:
    forged = place(log, "lease.prepared", 0)
    log[forged]["data"]["approvers"] = ["carol", "hugo"]
    return forged


def mark_taken_away(log: Log) -> int:
    forged = opening(log)
    del log[forged]["data"]["statement"]["emergency"]
    log[forged]["data"]["digest"] = digest("countersign/request/v1", log[forged]["data"]["statement"])
    return about(log, log[forged]["subject"], "request.decided")


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (signature_removed, "envelope-void"),
        (signed_twice_by_one, "review-twice"),
        (signed_something_else, "wrong-digest"),
        (envelope_removed, "envelope-void"),
        (envelope_widened, "digest-mismatch"),
        (narrowed("uses", 0), "envelope-void"),
        (narrowed("entitlement", "another"), "envelope-void"),
        (narrowed("max_duration_s", 59), "envelope-void"),
        (narrowed("not_before", "2026-11-23T09:00:00.000Z"), "envelope-void"),
        (narrowed("not_after", "2026-11-22T09:30:00.000Z"), "envelope-void"),
        (opened_by_a_signer, "self-approval"),
        (revoked_before_it_was_opened, "envelope-void"),
        (revoked_before_it_was_drawn, "envelope-void"),
        (nobody_was_told, "emergency-untold"),
        (told_of_what_was_none, "emergency-untold"),
        (looked_back_on_by_who_granted_it, "self-review"),
        (looked_back_on_twice, "decided-twice"),
        (drawn_on_other_signatures, "approvers-mismatch"),
        (mark_taken_away, "wrong-digest"),
    ],
)
def test_a_lie_about_an_emergency_is_named_by_its_entry(forge: Forgery, code: str) -> None:
    log = honest()
    index = forge(log)
    failures = verified(log).failures
    assert failures
    assert (failures[0].index, failures[0].code) == (index, code), failures
