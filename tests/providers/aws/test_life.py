"""The whole life of AWS credentials over HTTP, against an emulator that evaluates IAM policies (ministack).

What this proves: that the documents we render, read by an independent evaluator, give what they should, end on the second, end
early by the Deny, and spare siblings. What it cannot prove: AWS's propagation delay, its packed sizes, the trust policy's demand
for a source identity and the revoker's condition on the boundary, none of which the emulator has.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from tests.aws_server import BESIDE, INSIDE, READ, SECRET, Cloud, Drawn, attempt, now, order, ref_of

from countersign.domain.lease import Evidence, Sighting, Standing
from countersign.providers.aws import AwsProvider
from countersign.providers.base import Away, Declined, LeaseRef

pytestmark = pytest.mark.slow

DENIED = "AccessDenied"
ROLE_NAME = "countersign-target-reports"
ENDED = "CountersignEnded"


def look(provider: AwsProvider, ref: LeaseRef) -> Sighting:
    return look_at(provider, ref)[ref.lease_id]


def look_at(provider: AwsProvider, *refs: LeaseRef) -> Mapping[str, Sighting]:
    """Return what a pass saw that had time for all; a slow emulator makes an honest `unknown`, not tried here."""
    for _ in range(5):
        seen = provider.look(list(refs))
        if not any("no time left" in str(sighting.seen) for sighting in seen.values()):
            break
    return seen


def wait_until(moment_passed: Any) -> None:  # noqa: ANN401 -- a moment
    while now() < moment_passed:
        time.sleep(0.005)


def test_a_session_reads_what_the_task_allows_and_nothing_beside_it(cloud: Cloud) -> None:
    drawn = cloud.draw(cloud.provider())
    assert drawn.read(INSIDE) == READ
    assert drawn.read(BESIDE) == DENIED
    assert drawn.read(SECRET, cloud.provisioned.forbidden_bucket) == DENIED
    assert attempt(lambda: drawn.client("s3").list_objects_v2(Bucket="orders-reports")) == DENIED
    assert attempt(lambda: drawn.client("s3").put_object(Bucket="orders-reports", Key="2026/x", Body=b"")) == DENIED
    assert attempt(lambda: drawn.client("iam").list_users()) == DENIED


def test_what_is_handed_over_names_the_promised_end_and_the_log_learns_no_key(cloud: Cloud) -> None:
    drawn = cloud.draw(cloud.provider(), seconds=60)
    fields, details = drawn.issued.credential.fields, drawn.issued.details
    assert drawn.issued.credential.kind == "aws"
    assert drawn.issued.expires_at == drawn.order.not_after
    assert fields["expiration"].endswith("Z")
    assert fields["expiration"][:19] == drawn.order.not_after.isoformat()[:19]
    assert fields["region"] == "us-east-1"
    assert fields["endpoint_url"] == cloud.aws.endpoint_url
    assert details["duration_s"] == 900, "the session itself lives AWS's least; the policy ends it"
    assert details["source_identity"] == "alice"
    spoken = json.dumps([dict(details), dict(drawn.ref.handle)]) + repr(drawn.issued)
    for secret in ("access_key_id", "secret_access_key", "session_token"):
        assert fields[secret] not in spoken


def test_the_proof_triple_worked_before_denied_after_and_a_sibling_still_works(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine, sibling = cloud.draw(provider), cloud.draw(provider)
    assert (mine.read(), sibling.read()) == (READ, READ)
    assert look(provider, mine.ref).standing is Standing.LIVE

    answer = provider.end(mine.ref)

    assert answer.said["deny"] == "written"
    assert (mine.read(), sibling.read()) == (DENIED, READ)
    seen = look(provider, mine.ref)
    assert (seen.standing, seen.evidence) == (Standing.DENIED, Evidence.OBSERVED)
    assert (seen.seen["canary"], seen.seen["sibling"]) == ("refused", "served")
    assert 0 <= seen.seen["delay_ms"] < 10_000
    assert look(provider, sibling.ref).standing is Standing.LIVE


def test_control_a_revoker_that_says_yes_and_does_nothing_fails_the_triple(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = cloud.provider()
    mine, sibling = cloud.draw(provider), cloud.draw(provider)
    monkeypatch.setattr(provider._revoker._iam, "put_role_policy", lambda **_: {})
    assert provider.end(mine.ref).said["deny"] == "written"
    assert (mine.read(), sibling.read()) == (READ, READ)
    assert look(provider, mine.ref).standing is Standing.LIVE


def test_a_deny_that_arrives_late_is_not_called_death_before_it_arrives(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider)
    put = provider._revoker._iam.put_role_policy
    arriving: list[threading.Timer] = []

    def put_with_lag(**arguments: Any) -> dict[str, Any]:  # noqa: ANN401 -- arguments of put_role_policy
        arriving.append(threading.Timer(3, put, kwargs=arguments))
        arriving[-1].start()
        return {}

    monkeypatch.setattr(provider._revoker._iam, "put_role_policy", put_with_lag)
    provider.end(mine.ref)
    assert look(provider, mine.ref).standing is Standing.LIVE
    arriving[-1].join()
    seen = look(provider, mine.ref)
    assert seen.standing is Standing.DENIED
    assert seen.seen["delay_ms"] >= 3000


def test_when_everything_of_the_role_fails_a_refused_canary_proves_nothing(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
    cloud.admin("iam").put_role_policy(RoleName=ROLE_NAME, PolicyName="outage", PolicyDocument=json.dumps(everything))
    seen = look(provider, mine.ref)
    assert seen.standing is Standing.UNKNOWN
    assert (seen.seen["canary"], seen.seen["sibling"]) == ("refused", "refused")


def test_a_box_of_four_seconds_refuses_the_same_keys_at_its_end_and_needs_no_write(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider, seconds=4)
    assert mine.read() == READ
    wait_until(mine.order.not_after)
    assert mine.read() == DENIED
    answer = provider.end(mine.ref)
    assert answer.said["deny"] == "not needed"
    assert "native" in answer.said
    seen = look(provider, mine.ref)
    assert (seen.standing, seen.evidence) == (Standing.DENIED, Evidence.OBSERVED)
    assert cloud.admin("iam").list_role_policies(RoleName=ROLE_NAME)["PolicyNames"] == []


def test_a_bucket_policy_that_names_the_session_itself_does_not_outlast_the_box(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider, seconds=4)
    session = f"arn:aws:sts::111122223333:assumed-role/{ROLE_NAME}/{mine.order.lease_id}"
    bucket = cloud.provisioned.forbidden_bucket
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": session},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    s3 = cloud.admin("s3")
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    try:
        assert mine.read(SECRET, bucket) == READ, "a resource policy may go around the session policy's silence"
        wait_until(mine.order.not_after)
        assert mine.read(SECRET, bucket) == DENIED, "but not around its Deny"
    finally:
        s3.delete_bucket_policy(Bucket=bucket)


def test_a_session_can_neither_chain_roles_nor_touch_what_ends_it(cloud: Cloud) -> None:
    mine = cloud.draw(cloud.provider())
    sts, iam = mine.client("sts"), mine.client("iam")
    role = cloud.provisioned.roles["archive"]
    assert attempt(lambda: sts.assume_role(RoleArn=role, RoleSessionName="lse_escape")) == DENIED
    assert attempt(lambda: iam.delete_role_policy(RoleName=ROLE_NAME, PolicyName=ENDED)) == DENIED
    assert attempt(lambda: iam.put_role_policy(RoleName=ROLE_NAME, PolicyName="x", PolicyDocument="{}")) == DENIED


def test_a_crash_that_left_no_handle_still_ends_and_is_looked_at_by_the_lease_id_alone(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider)
    bare = ref_of(mine.order)
    another_life = cloud.provider()
    another_life.end(bare)
    assert mine.read() == DENIED
    assert look(another_life, bare).standing is Standing.DENIED


def test_ending_a_lease_that_was_never_issued_fences_a_late_arrival(cloud: Cloud) -> None:
    provider = cloud.provider()
    never = order(target=cloud.target())
    provider.end(ref_of(never))
    late = provider.issue(provider.reserve(never))
    assert Drawn(order=never, issued=late, ref=ref_of(never)).read() == DENIED


def test_ending_twice_is_the_same_as_once(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider)
    first, second = provider.end(mine.ref), provider.end(mine.ref)
    assert (first.said["deny"], second.said["deny"]) == ("written", "stands already")
    assert second.said["entries"] == 1


def test_a_deny_stands_until_no_session_of_the_lease_can_be_left(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider, seconds=60)
    provider.end(mine.ref)
    document = cloud.admin("iam").get_role_policy(RoleName=ROLE_NAME, PolicyName=ENDED)["PolicyDocument"]
    (statement,) = document["Statement"]
    until = int(statement["Sid"].removeprefix("CountersignUntil"))
    session_ends = mine.order.now.timestamp() + mine.issued.details["duration_s"]
    assert session_ends + 15 * 60 <= until <= session_ends + 30 * 60 + 1


def test_sixteen_ends_at_once_on_one_role_all_stand_and_share_writes(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = cloud.provider()
    drawn = [cloud.draw(provider) for _ in range(16)]
    spared = cloud.draw(provider)
    put, writes = provider._revoker._iam.put_role_policy, []

    def slow_put(**arguments: Any) -> Any:  # noqa: ANN401 -- as boto3's
        writes.append(arguments)
        time.sleep(0.05)
        return put(**arguments)

    monkeypatch.setattr(provider._revoker._iam, "put_role_policy", slow_put)
    with ThreadPoolExecutor(16) as hands:
        list(hands.map(lambda one: provider.end(one.ref), drawn))
    assert [one.read() for one in drawn] == [DENIED] * 16
    assert spared.read() == READ
    assert len(writes) < 16
    assert all(not role.waiting and not role.done for role in provider._revoker._roles.values())


def test_many_are_looked_at_together_with_one_sibling_for_the_role(cloud: Cloud) -> None:
    provider = cloud.provider()
    ended, alive = [cloud.draw(provider) for _ in range(3)], [cloud.draw(provider) for _ in range(3)]
    for one in ended:
        provider.end(one.ref)
    seen = look_at(provider, *(one.ref for one in [*ended, *alive]))
    assert {seen[one.order.lease_id].standing for one in ended} == {Standing.DENIED}
    assert {seen[one.order.lease_id].standing for one in alive} == {Standing.LIVE}


def test_a_foreign_statement_is_kept_and_told_at_every_end_and_roll_call(cloud: Cloud) -> None:
    provider = cloud.provider()
    first, second = cloud.draw(provider), cloud.draw(provider)
    provider.end(first.ref)
    iam = cloud.admin("iam")
    ours = iam.get_role_policy(RoleName=ROLE_NAME, PolicyName=ENDED)["PolicyDocument"]
    planted = {"Sid": "Planted", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    ours["Statement"].append(planted)
    iam.put_role_policy(RoleName=ROLE_NAME, PolicyName=ENDED, PolicyDocument=json.dumps(ours))
    iam.put_role_policy(
        RoleName=ROLE_NAME,
        PolicyName="back-door",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [planted]}),
    )

    answer = provider.end(second.ref)

    assert answer.said["foreign"] == [planted]
    assert (first.read(), second.read()) == (DENIED, DENIED)
    strays = list(provider.roll_call([cloud.target(), cloud.target()]))
    assert [(s.place, s.lease_id, s.target) for s in strays] == [
        ("iam policy statement", None, "aws-reports"),
        ("iam inline policy", None, "aws-reports"),
    ]
    assert strays[0].ref["statement"] == planted
    assert strays[1].ref["policy"] == "back-door"
    assert "left" in provider.end_stray(strays[0]).said
    assert planted in iam.get_role_policy(RoleName=ROLE_NAME, PolicyName=ENDED)["PolicyDocument"]["Statement"]
    named = cloud.target(inline_policies=["back-door"])
    assert [s.place for s in provider.roll_call([named])] == ["iam policy statement"]


def test_what_is_written_into_a_target_role_gives_no_more_than_its_boundary(cloud: Cloud) -> None:
    provider = cloud.provider()
    wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    cloud.as_principal("revoker", "iam").put_role_policy(
        RoleName=ROLE_NAME, PolicyName="wide", PolicyDocument=json.dumps(wide)
    )
    grants = {"statements": [{"actions": ["s3:GetObject", "s3:PutObject"], "resources": ["*"]}]}
    mine = cloud.draw(provider, grants=grants, parameters={})
    assert mine.read() == READ
    assert mine.read(SECRET, cloud.provisioned.forbidden_bucket) == DENIED
    assert attempt(lambda: mine.client("s3").put_object(Bucket="orders-reports", Key="x", Body=b"")) == DENIED


def test_the_one_who_assumes_cannot_write_policies_and_the_one_who_revokes_cannot_assume(cloud: Cloud) -> None:
    arguments = {"RoleName": ROLE_NAME, "PolicyName": "x", "PolicyDocument": '{"Version":"2012-10-17","Statement":[]}'}
    assumer, revoker = cloud.as_principal("assumer", "iam"), cloud.as_principal("revoker", "iam")
    assert attempt(lambda: assumer.put_role_policy(**arguments)) == DENIED
    assert attempt(lambda: assumer.get_role_policy(RoleName=ROLE_NAME, PolicyName=ENDED)) == DENIED
    role = cloud.provisioned.roles["reports"]
    sts = cloud.as_principal("revoker", "sts")
    named = {"RoleArn": role, "RoleSessionName": "lse_aaaaaaaaaaaaaaaa", "Tags": []}
    assert attempt(lambda: sts.assume_role(**named)) == DENIED
    assert attempt(revoker.list_users) == DENIED
    assert attempt(lambda: revoker.put_user_policy(UserName="countersign-revoker", **_user_policy())) == DENIED
    assert attempt(lambda: revoker.delete_role_permissions_boundary(RoleName=ROLE_NAME)) == DENIED
    assert attempt(lambda: revoker.update_assume_role_policy(RoleName=ROLE_NAME, PolicyDocument="{}")) == DENIED
    s3 = cloud.as_principal("assumer", "s3")
    assert attempt(lambda: s3.get_object(Bucket="orders-reports", Key=INSIDE)) == DENIED


def _user_policy() -> dict[str, str]:
    return {"PolicyName": "x", "PolicyDocument": '{"Version":"2012-10-17","Statement":[]}'}


def test_the_role_makes_no_session_without_a_lease_name_and_tags(cloud: Cloud) -> None:
    sts, role = cloud.as_principal("assumer", "sts"), cloud.provisioned.roles["reports"]
    tags = [
        {"Key": "countersign-lease", "Value": "lse_aaaaaaaaaaaaaaaa"},
        {"Key": "countersign-request", "Value": "req_aaaaaaaaaaaaaaaa"},
        {"Key": "countersign-person", "Value": "alice"},
    ]
    named: dict[str, Any] = {"RoleArn": role, "RoleSessionName": "lse_aaaaaaaaaaaaaaaa", "Tags": tags}
    assert attempt(lambda: sts.assume_role(**named)) == READ
    assert attempt(lambda: sts.assume_role(**{**named, "RoleSessionName": "alice"})) == DENIED
    assert attempt(lambda: sts.assume_role(**{**named, "Tags": tags[1:]})) == DENIED
    assert attempt(lambda: sts.assume_role(**{**named, "Tags": tags[:2]})) == DENIED
    assert attempt(lambda: sts.assume_role(**{**named, "Tags": [*tags, {"Key": "extra", "Value": "x"}]})) == DENIED


def test_the_emergency_stop_ends_every_session_of_the_role_and_of_no_other(cloud: Cloud) -> None:
    provider = cloud.provider()
    one, two = cloud.draw(provider), cloud.draw(provider)
    elsewhere = cloud.draw(provider, target=cloud.target("archive"))
    assert provider.stop_target(cloud.target(), before=now()).said["stop"] == "written"
    assert (one.read(), two.read(), elsewhere.read()) == (DENIED, DENIED, READ)
    assert list(provider.roll_call([cloud.target()])) == []


@pytest.mark.parametrize("behind_s", [-30, 30])
def test_a_broker_whose_clock_is_wrong_still_boxes_by_its_own_promise(cloud: Cloud, behind_s: int) -> None:
    wrong = timedelta(seconds=behind_s)
    provider = cloud.provider(lambda: now() - wrong)
    mine = cloud.draw(provider, now=now() - wrong, seconds=4)
    assert mine.issued.details["clock_skewed"] is True
    assert abs(mine.issued.details["clock_offset_ms"] - behind_s * 1000) < 1500
    assert mine.read() == READ
    wait_until(mine.order.not_after + wrong + timedelta(seconds=0.2))
    assert mine.read() == DENIED
    assert look(provider, mine.ref).standing is Standing.DENIED


def test_without_a_probe_an_early_end_stays_unknown_and_the_native_end_is_computed(cloud: Cloud) -> None:
    provider = cloud.provider()
    plain = cloud.target()
    target = {**plain, "settings": {k: v for k, v in plain["settings"].items() if k != "probe"}}
    mine = cloud.draw(provider, target=target, seconds=3)
    provider.end(mine.ref)
    assert look(provider, mine.ref).standing is Standing.UNKNOWN
    wait_until(mine.order.not_after)
    seen = look(provider, mine.ref)
    assert (seen.standing, seen.evidence) == (Standing.DENIED, Evidence.COMPUTED)


@pytest.mark.parametrize(
    "probe",
    [
        {"action": "s3:ListBucket", "resource": "arn:aws:s3:::orders-reports"},
        {"action": "s3:GetObject", "resource": "arn:aws:s3:::orders-reports/countersign-probe"},
    ],
)
def test_each_probe_of_s3_tells_the_living_from_the_dead(cloud: Cloud, probe: dict[str, str]) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider, target=cloud.target(probe=probe))
    assert look(provider, mine.ref).standing is Standing.LIVE
    provider.end(mine.ref)
    assert look(provider, mine.ref).standing is Standing.DENIED


def test_a_probe_that_the_role_may_not_make_proves_no_death(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider, target=cloud.target(probe={"action": "ec2:DescribeRegions"}))
    assert look(provider, mine.ref).standing is Standing.UNKNOWN


def test_a_full_budget_refuses_new_sessions_while_ending_goes_on(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider)
    filler = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "s3:x", "Resource": f"arn:aws:s3:::{'a' * 9000}"}],
    }
    cloud.admin("iam").put_role_policy(RoleName=ROLE_NAME, PolicyName="big", PolicyDocument=json.dumps(filler))
    with pytest.raises(Declined, match="characters left"):
        cloud.provider().reserve(order(target=cloud.target()))
    provider.end(mine.ref)
    assert mine.read() == DENIED
    with pytest.raises(Declined, match="characters left"):
        provider.reserve(order(target=cloud.target()))


def test_nothing_that_was_handed_over_is_logged_even_when_everything_is(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = cloud.provider()
    mine = cloud.draw(provider)
    provider.end(mine.ref)
    look(provider, mine.ref)
    for secret in ("secret_access_key", "session_token"):
        assert mine.issued.credential.fields[secret] not in caplog.text
    assert str(cloud.provisioned.settings.revoker.secret_access_key) not in caplog.text


def test_away_is_said_of_an_end_that_could_not_be_ordered_and_nothing_is_said_to_be_dead(cloud: Cloud) -> None:
    provider = cloud.provider()
    mine = cloud.draw(provider)
    cloud.admin("iam").detach_user_policy(
        UserName="countersign-revoker", PolicyArn="arn:aws:iam::111122223333:policy/countersign-revoker"
    )
    try:
        with pytest.raises(Away, match="AccessDenied"):
            provider.end(mine.ref)
        assert look(provider, mine.ref).standing is Standing.LIVE
    finally:
        cloud.admin("iam").attach_user_policy(
            UserName="countersign-revoker", PolicyArn="arn:aws:iam::111122223333:policy/countersign-revoker"
        )
    provider.end(mine.ref)
    assert look(provider, mine.ref).standing is Standing.DENIED


def test_a_role_that_aws_does_not_let_us_assume_is_declined_and_nothing_exists(cloud: Cloud) -> None:
    provider = cloud.provider()
    cloud.admin("iam").detach_user_policy(
        UserName="countersign-assumer", PolicyArn="arn:aws:iam::111122223333:policy/countersign-assumer"
    )
    try:
        reservation = provider.reserve(order(target=cloud.target()))
        with pytest.raises(Declined, match="AccessDenied"):
            provider.issue(reservation)
    finally:
        cloud.admin("iam").attach_user_policy(
            UserName="countersign-assumer", PolicyArn="arn:aws:iam::111122223333:policy/countersign-assumer"
        )
