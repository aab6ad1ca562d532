"""Steps 7 to 9: how access ends by itself: at AWS, by the sweep, over a killed broker, and with OpenBao down."""

from __future__ import annotations

import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from countersign.embedded.demo.outside import Watch, refuses
from countersign.embedded.demo.report import Step
from countersign.embedded.demo.stage import Stage

BOX_S = 4
LEFT_ALONE_S = 4
KILLED_S = 6
BAO_DOWN_S = 8
BACKSTOP_S = 30
EARLIEST_S, LATEST_S = -0.1, 2.0
"""A session may be cut so long around its promised second; two machines' clocks are not one."""


def play_ends(stage: Stage) -> None:
    """Draw at AWS and at the database, wait for both ends at once, then break things."""
    grant = stage.granted("dave", "orders-db-read", LEFT_ALONE_S, by="bob", reason="left alone on purpose")
    alone = stage.draw("dave", grant)
    session = Watch(credential=alone["credential"])
    _aws(stage)
    _left_alone(stage, alone, session)
    _broken(stage)


def _aws(stage: Stage) -> None:
    line = stage.timeline
    expected = "unchanged boto3 reads 2026/, nothing beside it; at not_after the same keys are refused"
    with line.step(7, "the same at AWS, for one year's reports", expected=expected) as step:
        grant = stage.granted(
            "alice", "reports-read", BOX_S, by="carol", reason="closing the books", parameters={"year": "2026"}
        )
        drawn = stage.draw("alice", grant)
        credential = drawn["credential"]
        line.tell("alice", f"draws {drawn['lease']['id']}, boxed until {drawn['lease']['not_after']}")
        s3 = boto3.client(
            "s3",
            aws_access_key_id=credential["access_key_id"],
            aws_secret_access_key=credential["secret_access_key"],
            aws_session_token=credential["session_token"],
            region_name=credential["region"],
            endpoint_url=stage.stack.aws.endpoint_url,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

        def read(key: str, bucket: str = "orders-reports") -> str:
            try:
                return f"{len(s3.get_object(Bucket=bucket, Key=key)['Body'].read())} bytes"
            except ClientError as refusal:
                return str(refusal.response["Error"]["Code"])

        inside = read("2026/11/orders.csv")
        line.check(step, "2026/11/orders.csv", holds=inside.endswith("bytes"), got=inside)
        for key, bucket in (
            ("2025/12/orders.csv", "orders-reports"),
            ("2026/11/orders.csv", stage.stack.account.forbidden_bucket),
        ):
            beside = read(key, bucket)
            line.check(step, f"{bucket}/{key}", holds=beside == "AccessDenied", got=beside)
        stage.until(lambda: read("2026/11/orders.csv") == "AccessDenied", within_s=BOX_S + 4, what="the box to close")
        late = stage.seconds_after(drawn["lease"]["not_after"], time.time())
        line.check(
            step, "the same keys are refused", holds=-1.0 <= late <= LATEST_S, got=f"{late:+.2f} s from not_after"
        )
        seen = stage.certificate(drawn["lease"]["id"], within_s=15)
        line.tell("log", f"{drawn['lease']['id']} {seen['standing']}, {seen['evidence']}: {seen['seen']}")
        line.check(step, "the certificate of death", holds=seen["standing"] in {"denied", "gone"}, got=seen["evidence"])


def _left_alone(stage: Stage, drawn: dict[str, Any], session: Watch) -> None:
    line, lease = stage.timeline, drawn["lease"]
    expected = "cut by the sweep within 2 s of not_after, long before OpenBao's own backstop of 30 s"
    with line.step(8, "a database grant that nobody hands back", expected=expected) as step:
        _dies_on_time(stage, step, drawn, session)
        refusal = refuses(drawn["credential"])
        line.check(step, "a new login is refused", holds=refusal is not None, got=refusal)
        seen = stage.certificate(lease["id"])
        line.tell("log", f"{lease['id']} {seen['standing']}, {seen['evidence']}, {seen['lateness_ms']} ms late")
        early = seen["evidence"] == "observed" and seen["lateness_ms"] < BACKSTOP_S * 1000
        line.check(step, "by the sweep, not by the backstop", holds=early, got=f"{seen['lateness_ms']} ms")


def _broken(stage: Stage) -> None:
    line, stack = stage.timeline, stage.stack
    expected = "killed and restarted, the broker ends the lease on time; with OpenBao down the login dies all the same"
    with line.step(9, "the broker is killed; OpenBao is stopped", expected=expected) as step:
        third = stage.draw(
            "alice", stage.granted("alice", "orders-db-read", KILLED_S, by="bob", reason="over a killed broker")
        )
        fourth = stage.draw(
            "dave", stage.granted("dave", "orders-db-read", BAO_DOWN_S, by="bob", reason="with OpenBao away")
        )
        sessions = Watch(credential=third["credential"]), Watch(credential=fourth["credential"])
        stack.kill_broker()
        line.tell("stack", "kills the broker with SIGKILL")
        began = time.monotonic()
        stack.start_broker()
        line.tell("stack", f"starts it again; it serves after {time.monotonic() - began:.1f} s")
        _dies_on_time(stage, step, third, sessions[0])
        seen = stage.certificate(third["lease"]["id"])
        line.check(step, "its certificate of death", holds=seen["cause"] == "expired", got=f"{seen['lateness_ms']} ms")
        stack.openbao.stop()
        line.tell("stack", "stops OpenBao")
        _dies_on_time(stage, step, fourth, sessions[1])
        refusal = refuses(fourth["credential"])
        line.check(step, "with OpenBao down, a new login is refused", holds=refusal is not None, got=refusal)
        stack.openbao.start()
        seen = stage.certificate(fourth["lease"]["id"], within_s=45)
        line.tell("log", f"OpenBao is back; {fourth['lease']['id']} {seen['standing']}, {seen['evidence']}")
        line.check(step, "its certificate of death", holds=seen["standing"] == "gone", got=seen["seen"])


def _dies_on_time(stage: Stage, step: Step, drawn: dict[str, Any], session: Watch) -> None:
    lease = drawn["lease"]
    session.wait(20)
    late = None if session.cut_at is None else stage.seconds_after(lease["not_after"], session.cut_at)
    on_time = late is not None and EARLIEST_S <= late <= LATEST_S
    shown = "not cut" if late is None else f"{late * 1000:+.0f} ms from not_after"
    stage.timeline.check(step, f"the open session of {lease['id']} is cut", holds=on_time, got=shown)
