"""The meaning of a log: honest histories raise no alarm, and a lie with right hashes is named by its entry."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.auditlog.forging import Forgery, Log, about, honest, place, reseal, verified
from tests.quick import histories, quick_world
from tests.service.test_rules_machine import Histories
from tests.world import World

from countersign.auditlog.meaning import Finding, MeaningCheck, Severity
from countersign.domain.canonical import digest
from countersign.domain.refusals import Refused
from countersign.domain.rule_texts import digests, folded
from countersign.store import Store

pytestmark = pytest.mark.slow


def meaning_of(store: Store) -> list[Finding]:
    check = MeaningCheck()
    for entry in store.entries():
        check.read(entry.index, entry.leaf)
    return check.finish()


def broken(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.severity is Severity.BROKEN]


class HonestHistories(Histories):
    """Everything people and the world can do, and what the log says of it at the end."""

    def every_invariant_holds(self) -> None:
        """Leave to the histories themselves what they hold after every step; here the log is judged, at the end."""

    def teardown(self) -> None:
        self.provider.picked_up = True
        for _ in range(3):
            self.world.clock.forward(seconds=46)
            try:
                self.world.sweep()
            except Refused:
                continue
        found = broken(meaning_of(self.world.store))
        super().teardown()
        assert found == []


HonestHistories.TestCase.settings = histories(ci=20, nightly=2000)
TestHonestHistories = HonestHistories.TestCase


def test_an_honest_log_with_one_of_everything_is_borne_out() -> None:
    log = honest()
    assert verified(log).ok
    assert {row["type"] for row in log} >= {
        "stop.placed",
        "stop.lifted",
        "person.disabled",
        "rulebook.decided",
        "lease.dead",
        "review.recorded",
    }


def approval_removed(log: Log) -> int:
    removed = place(log, "review.recorded", -1)
    request = log.pop(removed)["subject"]
    return about(log, request, "request.decided")


def one_of_two_approvals_removed(log: Log) -> int:
    del log[place(log, "review.recorded", 0)]
    return place(log, "grant.opened", 0)


def approver_is_the_requester(log: Log) -> int:
    forged = place(log, "review.recorded", 0)
    log[forged]["actor"] = "alice"
    return forged


def reviewed_by_the_same_person_twice(log: Log) -> int:
    forged = place(log, "review.recorded", 1)
    log[forged]["actor"] = log[forged - 1]["actor"]
    return forged


def review_of_another_digest(log: Log) -> int:
    forged = place(log, "review.recorded", 0)
    log[forged]["data"]["digest"] = "0" * 64
    return forged


def review_for_no_group(log: Log) -> int:
    forged = place(log, "review.recorded", 0)
    log[forged]["data"]["groups"] = []
    return forged


def review_after_the_decision(log: Log) -> int:
    review = copy.deepcopy(log[place(log, "review.recorded", 0)])
    decided = about(log, review["subject"], "request.decided")
    review["actor"], review["at"] = "carol", log[decided]["at"]
    log.insert(decided + 1, review)
    return decided + 1


def review_long_after_the_end(log: Log) -> int:
    review = copy.deepcopy(log[place(log, "review.recorded", 0)])
    review["at"] = log[-1]["at"]
    log.append(review)
    return len(log) - 1


def review_too_late(log: Log) -> int:
    forged = place(log, "review.recorded", 0)
    log[about(log, log[forged]["subject"], "request.submitted")]["data"]["lapses_at"] = "2026-11-22T08:00:00.000Z"
    return forged


def duration_changed_after_the_approval(log: Log) -> int:
    forged = place(log, "request.submitted", 0)
    log[forged]["data"]["statement"]["duration_s"] = 36_000
    return forged


def duration_changed_and_its_digest_too(log: Log) -> int:
    forged = place(log, "request.submitted", 0)
    log[forged]["data"]["statement"]["duration_s"] = 1_200
    reseal(log, forged)
    return about(log, log[forged]["subject"], "review.recorded")


def statement_of_another_person(log: Log) -> int:
    forged = place(log, "request.submitted", 0)
    log[forged]["data"]["statement"]["person"] = "erin"
    reseal(log, forged)
    return forged


def submitted_twice(log: Log) -> int:
    log.insert(place(log, "review.recorded", 0), copy.deepcopy(log[place(log, "request.submitted", 0)]))
    return place(log, "review.recorded", 0) - 1


def request_removed(log: Log) -> int:
    request = log.pop(place(log, "request.submitted", 0))["subject"]
    return about(log, request, "review.recorded")


def denied_by_nobody(log: Log) -> int:
    del log[place(log, "review.recorded", 0, decision="deny")]
    return place(log, "request.decided", 0, state="denied")


def denied_and_approved(log: Log) -> int:
    log[place(log, "review.recorded", 1)]["data"]["decision"] = "deny"
    return place(log, "request.decided", 0)


def decided_twice(log: Log) -> int:
    forged = place(log, "request.decided", 0, state="denied")
    log.insert(forged + 1, copy.deepcopy(log[forged]))
    return forged + 1


def grant_of_a_denied_request(log: Log) -> int:
    denied = log[place(log, "request.decided", 0, state="denied")]
    grant = copy.deepcopy(log[place(log, "grant.opened", 0)])
    grant["subject"], grant["data"]["request"], grant["at"] = "grt_aaaaaaaaaaaaaaaa", denied["subject"], log[-1]["at"]
    log.append(grant)
    return len(log) - 1


def grant_of_nothing(log: Log) -> int:
    grant = copy.deepcopy(log[place(log, "grant.opened", 0)])
    grant["subject"], grant["data"]["request"], grant["at"] = (
        "grt_aaaaaaaaaaaaaaaa",
        "req_aaaaaaaaaaaaaaaa",
        log[-1]["at"],
    )
    log.append(grant)
    return len(log) - 1


def grant_without_approvers(log: Log) -> int:
    forged = place(log, "grant.opened", 0)
    log[forged]["data"]["approvers"] = []
    return forged


def grant_with_one_more_approver(log: Log) -> int:
    forged = place(log, "grant.opened", 0)
    log[forged]["data"]["approvers"] = ["bob", "carol", "olga"]
    return forged


def grant_approved_by_its_requester(log: Log) -> int:
    forged = place(log, "grant.opened", 0)
    log[forged]["data"]["approvers"] = ["alice", "bob"]
    return forged


def grant_of_more_time(log: Log) -> int:
    forged = place(log, "grant.opened", 0)
    log[forged]["data"]["duration_s"] = 36_000
    return forged


def second_grant(log: Log) -> int:
    forged = place(log, "grant.opened", 0)
    log.insert(forged + 1, copy.deepcopy(log[forged]) | {"subject": "grt_aaaaaaaaaaaaaaaa"})
    return forged + 1


def grant_closed_twice(log: Log) -> int:
    forged = place(log, "grant.closed", 0)
    log.insert(forged + 1, copy.deepcopy(log[forged]))
    return forged + 1


def grant_never_closed(log: Log) -> int:
    grant = log.pop(place(log, "grant.closed", 0))["subject"]
    return about(log, grant, "grant.opened")


def lease_without_a_grant(log: Log) -> int:
    forged = place(log, "lease.prepared", 0)
    log[forged]["data"]["grant"] = "grt_aaaaaaaaaaaaaaaa"
    return forged


def draws_cut(log: Log) -> int:
    opened = place(log, "grant.opened", 0, draws=3)
    log[opened]["data"]["draws"] = 1
    return place(log, "lease.prepared", 1, grant=log[opened]["subject"])


def draw_after_the_grant_was_closed(log: Log) -> int:
    lease = copy.deepcopy(log[place(log, "lease.prepared", 0)])
    lease["subject"], lease["at"] = "lse_aaaaaaaaaaaaaaaa", log[-1]["at"]
    log.append(lease)
    return len(log) - 1


def drawn_by_somebody_else(log: Log) -> int:
    forged = place(log, "lease.prepared", 0)
    log[forged]["actor"] = "dave"
    return forged


def not_after_of_the_second_draw_extended(log: Log) -> int:
    forged = place(log, "lease.prepared", 1)
    log[forged]["data"]["not_after"] = "2026-11-22T10:59:00.000Z"
    log[forged]["data"]["backstop_at"] = "2026-11-22T10:59:30.000Z"
    return forged


def not_after_beyond_what_was_approved(log: Log) -> int:
    forged = place(log, "lease.prepared", 0)
    log[forged]["data"]["not_after"] = log[forged]["data"]["backstop_at"]
    return forged


def drawn_too_late(log: Log) -> int:
    opened = place(log, "grant.opened", 0, draws=3)
    log[opened]["data"]["draw_by"] = "2026-11-22T08:00:00.000Z"
    return place(log, "lease.prepared", 0, grant=log[opened]["subject"])


def issued_without_a_handle(log: Log) -> int:
    del log[place(log, "lease.reserved", 0)]
    return place(log, "lease.issued", 0)


def works_beyond_the_backstop(log: Log) -> int:
    forged = place(log, "lease.issued", 0)
    log[forged]["data"]["expires_at"] = "2027-11-22T10:59:00.000Z"
    return forged


def death_removed(log: Log) -> int:
    lease = log.pop(place(log, "lease.dead", 0))["subject"]
    return about(log, lease, "lease.end-asked")


def whole_end_removed(log: Log) -> int:
    lease = log[place(log, "lease.dead", 0)]["subject"]
    ends = ("lease.end-asked", "lease.end-written", "lease.dead")
    log[:] = [row for row in log if row["subject"] != lease or row["type"] not in ends]
    return about(log, log[about(log, lease, "lease.prepared")]["data"]["grant"], "grant.closed")


def death_without_an_order(log: Log) -> int:
    lease = log.pop(place(log, "lease.end-asked", 0))["subject"]
    del log[about(log, lease, "lease.end-written")]
    return about(log, lease, "lease.dead")


def death_that_was_none(log: Log) -> int:
    forged = place(log, "lease.dead", 0)
    log[forged]["data"]["standing"] = "live"
    return forged


def dead_twice(log: Log) -> int:
    forged = place(log, "lease.dead", 0)
    log.insert(forged + 1, copy.deepcopy(log[forged]))
    return forged + 1


def issued_after_death(log: Log) -> int:
    death = place(log, "lease.dead", 0)
    issue = copy.deepcopy(log[about(log, log[death]["subject"], "lease.issued")])
    log.insert(death + 1, issue | {"at": log[death]["at"]})
    return death + 1


def lateness_understated(log: Log) -> int:
    asked = place(log, "lease.end-asked", 0)
    lease = log[asked]["subject"]
    dead = about(log, lease, "lease.dead")
    row = log.pop(dead)
    row["at"] = log[-1]["at"]
    log.append(row)
    return len(log) - 1


def draw_given_back_that_served(log: Log) -> int:
    forged = place(log, "lease.end-asked", 0, cause="expired")
    log[forged]["data"]["draw_given_back"] = True
    return forged


def drawn_under_a_stop(log: Log) -> int:
    stop = log[place(log, "stop.placed", 0)]
    stop["data"]["scope"] = "person alice"
    return place(log, "lease.prepared", 3)


def drawn_by_the_disabled(log: Log) -> int:
    disabled = log.pop(place(log, "person.disabled", 0))
    drawn = place(log, "lease.prepared", 0, person="dave")
    log.insert(drawn, disabled | {"at": log[drawn]["at"]})
    return drawn + 1


def stop_lifted_by_who_placed_it(log: Log) -> int:
    forged = place(log, "stop.lifted", 0)
    log[forged]["actor"] = "olga"
    return forged


def lifting_of_no_stop(log: Log) -> int:
    del log[place(log, "stop.placed", 0)]
    return place(log, "stop.lifted", 0)


def rules_approved_by_their_proposer(log: Log) -> int:
    forged = place(log, "rulebook.decided", 0)
    log[forged]["actor"] = "frank"
    return forged


def rules_adopted_by_one(log: Log) -> int:
    forged = place(log, "rulebook.adopted", 1)
    log[forged]["data"]["proposed_by"] = "grace"
    return forged


def other_rules_than_were_proposed(log: Log) -> int:
    forged = place(log, "rulebook.adopted", 1)
    log[forged]["data"]["catalog"] = "0" * 64
    return forged


def proposal_rewritten(log: Log) -> int:
    forged = place(log, "rulebook.proposed", 0)
    log[forged]["data"]["catalog"] = "0" * 64
    return forged


def first_rules_again(log: Log) -> int:
    log.append(copy.deepcopy(log[place(log, "rulebook.adopted", 0)]) | {"at": log[-1]["at"]})
    return len(log) - 1


def rules_that_ask_for_nobody_more(log: Log) -> int:
    written = next(row for row in log[0]["data"]["rows"] if row["id"] == "orders-db-write")
    del written["value"]["review"][1]
    return 1


def rules_without_their_words(log: Log) -> int:
    forged = place(log, "rulebook.adopted", 1)
    log[forged]["data"]["written"] = None
    del log[forged - 1]
    return forged - 1


def one_of_two_signers_left_out_everywhere(log: Log) -> int:
    request = log[place(log, "review.recorded", 0)]["subject"]
    for row in log:
        about_it = row["subject"] == request or row["data"].get("request") == request
        if about_it and row["data"].get("approvers") == ["bob", "carol"]:
            row["data"]["approvers"] = ["bob"]
    log[:] = [
        row
        for row in log
        if not (row["type"] == "review.recorded" and (row["subject"], row["actor"]) == (request, "carol"))
    ]
    return next(i for i, row in enumerate(log) if row["data"].get("request") == request)


def signed_by_somebody_of_no_group(log: Log) -> int:
    for row in log:
        if row["actor"] == "bob" and row["type"] == "review.recorded":
            row["actor"] = "dave"
        if "approvers" in row["data"]:
            row["data"]["approvers"] = sorted("dave" if each == "bob" else each for each in row["data"]["approvers"])
    return place(log, "review.recorded", 0)


def asked_by_who_may_not(log: Log) -> int:
    forged = place(log, "request.submitted", 0)
    log[forged]["data"]["statement"]["person"] = log[forged]["actor"] = "erin"
    reseal(log, forged)
    return forged


def asked_for_longer_than_the_rule_allows(log: Log) -> int:
    forged = place(log, "request.submitted", 0)
    log[forged]["data"]["statement"]["duration_s"] = 36_000
    reseal(log, forged)
    return forged


def asked_for_a_table_that_the_rule_does_not_know(log: Log) -> int:
    forged = place(log, "request.submitted", 0)
    log[forged]["data"]["statement"]["parameters"] = {"table": "salaries"}
    reseal(log, forged)
    return forged


def asked_under_a_rule_that_never_was(log: Log) -> int:
    forged = place(log, "request.submitted", 0)
    log[forged]["data"]["statement"]["rule"] = "0" * 64
    reseal(log, forged)
    return forged


def granted_more_draws_than_the_rule_allows(log: Log) -> int:
    forged = place(log, "grant.opened", 0)
    log[forged]["data"]["draws"] = 9
    return forged


def asked_under_a_rule_that_has_changed(log: Log) -> int:
    written = place(log, "rulebook.written", 1)
    changed = next(row["value"] for row in log[0]["data"]["rows"] if row["id"] == "orders-db-thrice")
    row = {"section": "catalog/entitlements", "id": "orders-db-thrice", "value": changed | {"draws": 2}}
    log[written]["data"]["rows"].append(row)
    _reseal_rules(log, written + 1)
    return next(
        i
        for i, row in enumerate(log)
        if i > written
        and row["type"] == "request.submitted"
        and row["data"]["statement"]["entitlement"] == "orders-db-thrice"
    )


def _reseal_rules(log: Log, adopted: int) -> None:
    """Give a rulebook, its proposal and its approval the digests of what the log now says."""
    sections: dict[str, Any] = {}
    for row in log[:adopted]:
        if row["type"] == "rulebook.written":
            sections = folded(sections, row["data"]["rows"])
    catalog, directory = digests(sections)
    log[adopted]["data"] |= {"catalog": catalog, "directory": directory}
    proposed = log[place(log, "rulebook.proposed", 0)]
    proposed["data"] |= {"catalog": catalog, "directory": directory}
    said = {name: proposed["data"][name] for name in ("base", "catalog", "directory")}
    made = digest("countersign/proposal/v1", said | {"id": proposed["subject"], "proposed_by": proposed["actor"]})
    proposed["data"]["digest"] = log[place(log, "rulebook.decided", 0)]["data"]["digest"] = made


def entry_without_its_words(log: Log) -> int:
    forged = place(log, "lease.prepared", 0)
    del log[forged]["data"]["approvers"]
    return forged


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (approval_removed, "approved-without-approval"),
        (one_of_two_approvals_removed, "approvers-mismatch"),
        (approver_is_the_requester, "self-review"),
        (reviewed_by_the_same_person_twice, "review-twice"),
        (review_of_another_digest, "wrong-digest"),
        (review_for_no_group, "not-eligible"),
        (review_after_the_decision, "review-after-decision"),
        (review_long_after_the_end, "review-after-decision"),
        (review_too_late, "review-late"),
        (duration_changed_after_the_approval, "digest-mismatch"),
        (duration_changed_and_its_digest_too, "wrong-digest"),
        (statement_of_another_person, "digest-mismatch"),
        (submitted_twice, "request-twice"),
        (request_removed, "request-unknown"),
        (denied_by_nobody, "denied-without-denial"),
        (denied_and_approved, "approved-without-approval"),
        (decided_twice, "decided-twice"),
        (grant_of_a_denied_request, "grant-twice"),
        (grant_of_nothing, "grant-without-approval"),
        (grant_without_approvers, "grant-without-approval"),
        (grant_with_one_more_approver, "approvers-mismatch"),
        (grant_approved_by_its_requester, "self-approval"),
        (grant_of_more_time, "grant-mismatch"),
        (second_grant, "grant-twice"),
        (grant_closed_twice, "grant-closed-twice"),
        (grant_never_closed, "grant-still-open"),
        (lease_without_a_grant, "lease-without-grant"),
        (draws_cut, "draws-exceeded"),
        (draw_after_the_grant_was_closed, "draw-after-close"),
        (drawn_by_somebody_else, "draw-by-another"),
        (not_after_of_the_second_draw_extended, "not-after-extended"),
        (not_after_beyond_what_was_approved, "beyond-duration"),
        (drawn_too_late, "draw-late"),
        (issued_without_a_handle, "lease-order"),
        (works_beyond_the_backstop, "beyond-backstop"),
        (death_removed, "lease-still-open"),
        (whole_end_removed, "lease-still-open"),
        (death_without_an_order, "dead-unordered"),
        (death_that_was_none, "death-unseen"),
        (dead_twice, "dead-twice"),
        (issued_after_death, "after-death"),
        (lateness_understated, "lateness"),
        (draw_given_back_that_served, "draw-given-back"),
        (drawn_under_a_stop, "stopped"),
        (drawn_by_the_disabled, "disabled"),
        (stop_lifted_by_who_placed_it, "stop-self-lifted"),
        (lifting_of_no_stop, "stop-unknown"),
        (rules_approved_by_their_proposer, "rules-alone"),
        (rules_adopted_by_one, "rules-alone"),
        (other_rules_than_were_proposed, "rules-unproposed"),
        (proposal_rewritten, "digest-mismatch"),
        (first_rules_again, "rules-again"),
        (entry_without_its_words, "fact-shape"),
        (rules_that_ask_for_nobody_more, "rules-mismatch"),
        (rules_without_their_words, "rules-mismatch"),
        (one_of_two_signers_left_out_everywhere, "quorum-not-reached"),
        (signed_by_somebody_of_no_group, "not-eligible"),
        (asked_by_who_may_not, "not-eligible"),
        (asked_for_longer_than_the_rule_allows, "beyond-rule"),
        (asked_for_a_table_that_the_rule_does_not_know, "beyond-rule"),
        (asked_under_a_rule_that_never_was, "rule-unknown"),
        (granted_more_draws_than_the_rule_allows, "beyond-rule"),
        (asked_under_a_rule_that_has_changed, "rule-unknown"),
    ],
)
def test_a_lie_with_right_hashes_is_named_by_its_entry(forge: Forgery, code: str) -> None:
    log = honest()
    index = forge(log)
    report = verified(log)
    assert not report.ok
    assert (report.failures[0].index, report.failures[0].code) == (index, code), report.failures


def test_the_replay_remembers_what_is_open_and_not_the_log() -> None:
    with quick_world() as world:
        check, fed, most = MeaningCheck(), 0, 0
        for _ in range(40):
            world.broker.control.give_back(world.principal("alice"), _drawn(world))
            world.sweep()
            for entry in world.store.entries(start=fed):
                check.read(entry.index, entry.leaf)
                fed, most = entry.index + 1, max(most, check.open_things)
    assert fed > 400
    assert most <= 3
    assert check.open_things == 0


def _drawn(world: World) -> str:
    return world.draw(world.granted()).lease.grant_id


@pytest.mark.parametrize("leaf", [b"", b"[]", b"1", b"{}", b'{"type":"lease.dead"}', b"\xff", b"[" * 100_000])
def test_bytes_that_say_nothing_are_named_and_the_replay_goes_on(leaf: bytes) -> None:
    check = MeaningCheck()
    check.read(0, leaf)
    for index, row in enumerate(honest(), start=1):
        check.feed(index, row)
    assert [(found.index, found.code in {"fact-shape", "leaf-format"}) for found in broken(check.finish())] == [
        (0, True)
    ]


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("lease.dead", {"lateness_ms": "9" * 30}),
        ("lease.prepared", {"not_after": "9999-12-31T23:59:59.999Z", "backstop_at": "9999-12-31T23:59:59.999Z"}),
        ("request.submitted", {"statement": nested(5000)}),
    ],
)
def test_what_is_beyond_all_measure_is_named_and_does_not_end_the_replay(kind: str, change: dict[str, Any]) -> None:
    check, log = MeaningCheck(), honest()
    index = place(log, kind)
    log[index]["data"] |= change
    for at, row in enumerate(log):
        check.feed(at, row)
    assert index in {finding.index for finding in broken(check.finish())}


def test_what_a_newer_broker_says_is_told_and_not_judged() -> None:
    check = MeaningCheck()
    for index in range(2):
        check.feed(
            index, {"type": "moon.phased", "at": "2026-11-22T09:00:00.000Z", "actor": "x", "subject": "y", "data": {}}
        )
    assert [(found.index, found.code, found.severity) for found in check.finish()] == [
        (0, "unknown-type", Severity.LOW)
    ]


def test_a_log_from_before_rules_were_written_into_it_says_what_cannot_be_judged() -> None:
    check = MeaningCheck()
    old = [row for row in honest() if row["type"] != "rulebook.written"]
    for index, row in enumerate(old):
        if row["type"] == "rulebook.adopted":
            row["data"]["written"] = None
        check.feed(index, row)
    found = check.finish()
    assert broken(found) == []
    assert [(each.index, each.code, each.severity) for each in found if each.code == "rules-untold"] == [
        (place(old, "rulebook.adopted", which), "rules-untold", Severity.HIGH) for which in (0, 1)
    ]
