"""What a draw from AWS costs over the call that any session costs, and how long an early end takes until it was seen dead.

On an emulator that enforces IAM on this machine: AWS itself is slower at everything, and later. Floors, sent directly with the
same identities: one `AssumeRole` with the same policy and tags; one `PutRolePolicy` that denies a session, until it is refused.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.aws_server import GRANTS, INSIDE, READ, Cloud, Drawn, attempt, order, ref_of, running_cloud

from benchmarks.ends import until_dead
from benchmarks.figures import Figure, quantile, summary_ms
from benchmarks.stage import Bench, broker
from countersign.domain.ids import LEASE, RANDOM_BYTES, make_id
from countersign.providers.aws.ended_list import pattern_of
from countersign.providers.aws.sessions import plan

PARAMETERS = {"prefix": {"values": ["2026"], "default": "2026"}}
_POLICY = "BenchmarkFloor"


def aws(folder: Path, *, full: bool) -> Iterator[Figure]:
    """Yield the draw's median over the floor's, and the time from a return until the certificate of death."""
    count = 150 if full else 30
    draws: list[float] = []
    ends: list[float] = []
    floor_draws: list[float] = []
    floor_ends: list[float] = []
    with running_cloud(folder / "aws") as cloud:
        provider, target = cloud.provider(), cloud.target()
        rules = {"grants": GRANTS, "parameters": PARAMETERS}
        with broker(folder, provider, target=target, name="aws", direct=rules) as bench:
            bench.running.metronome.start()
            try:
                for grant in bench.granted(count, what="direct"):
                    floor_draws.append(_assume(cloud))
                    draws.append(_drawn(bench, grant))
                    ends.append(_ended(bench, grant))
                    floor_ends.append(_deny(cloud))
            finally:
                bench.running.metronome.stop()
    p50, floor = quantile(draws, 0.5), quantile(floor_draws, 0.5)
    yield Figure(
        name="aws_draw_p50_ratio",
        value=p50 / floor,
        unit="ratio",
        floor=floor * 1000,
        floor_unit="ms",
        ratio=p50 / floor,
        details={"draw": summary_ms(draws), "assume_role": summary_ms(floor_draws)},
    )
    for name, share in (("aws_asked_to_seen_dead_p50_ms", 0.5), ("aws_asked_to_seen_dead_p99_ms", 0.99)):
        value, bare = quantile(ends, share) * 1000, quantile(floor_ends, share) * 1000
        details = {"return": summary_ms(ends), "bare_deny_until_denied": summary_ms(floor_ends)}
        yield Figure(name=name, value=value, unit="ms", floor=bare, ratio=value / bare, details=details)


def _drawn(bench: Bench, grant: str) -> float:
    alice = bench.principal("alice")
    began = time.perf_counter()
    bench.running.issuing.issuer.draw(alice, grant)
    return time.perf_counter() - began


def _ended(bench: Bench, grant: str) -> float:
    with bench.store.read() as tx:
        [lease] = tx.leases(grant_id=grant)
    alice = bench.principal("alice")
    began = time.perf_counter()
    bench.running.broker.control.give_back(alice, grant)
    until_dead(bench, lease.id)
    return time.perf_counter() - began


def _assume(cloud: Cloud) -> float:
    """Call AWS once for what a draw gives, as a program that does nothing else."""
    made = order(cloud.target())
    arguments = plan(made).arguments(made.not_after)
    sts = cloud.as_principal("assumer", "sts")
    began = time.perf_counter()
    sts.assume_role(**arguments)
    return time.perf_counter() - began


def _deny(cloud: Cloud) -> float:
    """Deny one session by a policy of its own and wait until it is refused."""
    drawn = _session(cloud)
    iam, role = cloud.as_principal("revoker", "iam"), str(cloud.target()["settings"]["role_arn"]).rpartition("/")[2]
    s3 = drawn.client("s3")
    statement = {
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringLike": {"aws:userid": pattern_of(drawn.order.lease_id)}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    began = time.perf_counter()
    iam.put_role_policy(RoleName=role, PolicyName=_POLICY, PolicyDocument=document)
    while attempt(lambda: s3.get_object(Bucket="orders-reports", Key=INSIDE)) == READ:
        time.sleep(0.002)
    took = time.perf_counter() - began
    cloud.admin("iam").delete_role_policy(RoleName=role, PolicyName=_POLICY)
    return took


def _session(cloud: Cloud) -> Drawn:
    made: Any = order(cloud.target(), lease_id=make_id(LEASE, secrets.token_bytes(RANDOM_BYTES)))
    provider = cloud.provider()
    reservation = provider.reserve(made)
    issued = provider.issue(reservation)
    return Drawn(order=made, issued=issued, ref=ref_of(made, {**reservation.handle, **issued.handle}))
