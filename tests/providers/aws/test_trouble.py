"""What AWS's bad days look like from here: refusals by botocore's Stubber, silence and garbage by a small server on loopback.

Neither knows anything of IAM: these tests prove what we make of an answer, not that AWS would give it.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.stub import Stubber
from tests.aws_server import now, order, ref_of

from countersign.domain.lease import Standing
from countersign.embedded.processes import free_port
from countersign.providers.aws import AwsPrincipal, AwsProvider, AwsSettings
from countersign.providers.aws import connection as connection_module
from countersign.providers.base import Away, Declined, Order, OutcomeUnknown, ProviderTrouble, Reservation

PROBE = {"action": "s3:GetObject", "resource": "arn:aws:s3:::orders-reports/countersign-probe"}
SECRET = "wJalrSecretExample"


def provider(endpoint_url: str) -> AwsProvider:
    return AwsProvider(
        AwsSettings(
            assumer=AwsPrincipal(access_key_id="AKIAASSUMER", secret_access_key=SECRET),
            revoker=AwsPrincipal(access_key_id="AKIAREVOKER", secret_access_key=SECRET),
            endpoint_url=endpoint_url,
        ),
        now=now,
    )


def probed() -> Order:
    plain = order()
    return order({**plain.target, "settings": {**plain.target["settings"], "probe": PROBE}})


def reserved(made: Order) -> Reservation:
    return Reservation(order=made, handle={"box_end": "2099-01-01T00:00:00Z"})


@dataclass
class Scripted:
    """An HTTP server that answers every request alike, as far as it answers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    asked: list[str] = field(default_factory=list)


@contextmanager
def serving(script: Scripted) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            script.asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            time.sleep(script.after_s)
            self.send_response(script.status)
            for name, value in script.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(script.body)))
            self.end_headers()
            self.wfile.write(script.body)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 -- names that http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            """Serve, and do not mind a client that hung up."""
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    "code",
    [
        "AccessDenied",
        "ValidationError",
        "MalformedPolicyDocument",
        "PackedPolicyTooLarge",
        "RegionDisabledException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "Throttling",
    ],
)
def test_a_clear_no_is_declined_and_nothing_exists(code: str) -> None:
    aws = provider("http://127.0.0.1:9")
    with Stubber(aws._connection.issuing_sts) as stub:
        stub.add_client_error("assume_role", code, f"no, because {SECRET}", http_status_code=400)
        with pytest.raises(Declined, match=code) as refused:
            aws.issue(reserved(order()))
        stub.assert_no_pending_responses()
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("code", "status"), [("InternalFailure", 500), ("ServiceUnavailable", 503), ("", 403), ("403", 403)]
)
def test_a_fault_leaves_the_outcome_unknown(code: str, status: int) -> None:
    aws = provider("http://127.0.0.1:9")
    with Stubber(aws._connection.issuing_sts) as stub:
        stub.add_client_error("assume_role", code, http_status_code=status)
        with pytest.raises(OutcomeUnknown):
            aws.issue(reserved(order()))


def test_the_dangerous_call_is_made_once_whatever_comes_of_it() -> None:
    script = Scripted(status=503, body=b"busy")
    with serving(script) as url, pytest.raises(OutcomeUnknown):
        provider(url).issue(reserved(order()))
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "script",
    [
        Scripted(body=b"<html>welcome to the hotel</html>"),
        Scripted(body=b"<AssumeRoleResponse><AssumeRoleResult>"),
        Scripted(body=b""),
        Scripted(body=b"\x00\xff\xfe"),
        Scripted(body=b"<AssumeRoleResponse><AssumeRoleResult></AssumeRoleResult></AssumeRoleResponse>"),
        Scripted(status=403, body=b"<html>blocked by a proxy</html>"),
        Scripted(status=403, body=b"blocked"),
        Scripted(status=200, body=b"{}", headers={"Content-Type": "application/json"}),
    ],
    ids=["html", "cut off", "empty", "bytes", "no credentials", "proxy html", "proxy text", "json"],
)
def test_garbage_leaves_the_outcome_unknown(script: Scripted) -> None:
    with serving(script) as url, pytest.raises(OutcomeUnknown):
        provider(url).issue(reserved(order()))


def test_an_answer_that_was_cut_off_after_the_keys_leaks_none_of_them() -> None:
    body = f"<AssumeRoleResponse><AssumeRoleResult><Credentials><SecretAccessKey>{SECRET}</SecretAccessKey>"
    with serving(Scripted(body=body.encode())) as url, pytest.raises(OutcomeUnknown) as unknown:
        provider(url).issue(reserved(order()))
    assert unknown.value.__context__ is None
    assert SECRET not in "".join(traceback.format_exception(unknown.value))


def test_a_redirect_is_not_followed() -> None:
    elsewhere = Scripted()
    with serving(elsewhere) as other, serving(Scripted(status=307, headers={"Location": other})) as url:
        with pytest.raises(OutcomeUnknown):
            provider(url).issue(reserved(order()))
        with pytest.raises(Away):
            provider(url).end(ref_of(order()))
        assert provider(url).look([ref_of(made := probed())])[made.lease_id].standing is Standing.UNKNOWN
    assert elsewhere.asked == []


def test_silence_leaves_the_outcome_unknown_within_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "ISSUE_READ_S", 0.3)
    with serving(Scripted(after_s=5.0)) as url:
        aws = provider(url)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
            aws.issue(reserved(order()))
        assert time.monotonic() - began < 4


def test_time_outs_keep_every_call_within_ten_seconds() -> None:
    assert connection_module.CONNECT_S + connection_module.ISSUE_READ_S <= 10
    assert 2 * (connection_module.CONNECT_S + connection_module.QUICK_READ_S) <= 10
    aws = provider("http://127.0.0.1:9")._connection
    for client, read in ((aws.issuing_sts, 8), (aws.sts, 3), (aws.iam, 3)):
        assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (2, read)
        assert client.meta.config.retries["total_max_attempts"] == 1


def test_where_nothing_listens_nothing_was_sent() -> None:
    aws = provider(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Declined, match="nothing was sent"):
        aws.issue(reserved(order()))
    with pytest.raises(Away):
        aws.reserve(order())
    with pytest.raises(Away):
        aws.end(ref_of(order()))
    with pytest.raises(Away):
        aws.roll_call([order().target])
    with pytest.raises(Away):
        aws.stop_target(order().target, before=order().now)
    made = probed()
    seen = aws.look([ref_of(made)])[made.lease_id]
    assert seen.standing is Standing.UNKNOWN
    assert seen.seen["canary"].startswith("not tried")


@pytest.mark.parametrize("body", [b"", b"<html>", b"<GetCallerIdentityResponse/>", b"{}", b"\x00"])
def test_looking_and_ending_survive_garbage_and_never_call_it_death(body: bytes) -> None:
    made = probed()
    with serving(Scripted(body=body)) as url:
        aws = provider(url)
        with pytest.raises(ProviderTrouble):
            aws.end(ref_of(made))
        with pytest.raises(ProviderTrouble):
            aws.reserve(made)
        assert aws.look([ref_of(made)])[made.lease_id].standing is Standing.UNKNOWN


def test_looking_at_many_through_a_slow_aws_stays_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "QUICK_READ_S", 0.8)
    monkeypatch.setattr("countersign.providers.aws.lookout.START_CANARIES_WITHIN_S", 0.5)
    orders = [probed() for _ in range(24)]
    with serving(Scripted(after_s=2.0)) as url:
        aws = provider(url)
        began = time.monotonic()
        seen = aws.look([ref_of(made) for made in orders])
        assert time.monotonic() - began < 4, "24 time-outs in turn would take longer, even in four lanes"
    assert {sighting.standing for sighting in seen.values()} == {Standing.UNKNOWN}
    assert len(seen) == 24


def test_at_the_end_of_a_box_nothing_need_be_asked_of_an_aws_that_is_away() -> None:
    past = datetime(2026, 1, 1, tzinfo=now().tzinfo)
    aws = provider(f"http://127.0.0.1:{free_port()}")
    over = ref_of(order(now=past, seconds=60))
    assert aws.end(over).said["deny"] == "not needed"
    assert aws.look([over])[over.lease_id].standing is Standing.DENIED, "computed: no probe is configured"


def test_a_box_that_ended_a_moment_ago_by_our_clock_alone_is_not_taken_for_ended() -> None:
    aws = provider(f"http://127.0.0.1:{free_port()}")
    just = ref_of(order(now=now() - timedelta(seconds=60), seconds=60))
    with pytest.raises(Away):
        aws.end(just)


def test_a_target_that_cannot_be_read_is_never_dead_and_its_end_is_asked_for_again() -> None:
    aws = provider("http://127.0.0.1:9")
    bad: Any = {"id": "x", "provider": "aws", "kind": "aws-role", "settings": {"role_arn": "nonsense"}}
    ref = ref_of(order(bad))
    assert aws.look([ref])[ref.lease_id].standing is Standing.UNKNOWN
    with pytest.raises(Away):
        aws.end(ref)
    with pytest.raises(Away):
        aws.roll_call([bad])


def test_an_empty_look_is_an_empty_answer_and_credentials_are_never_wrapped() -> None:
    aws = provider("http://127.0.0.1:9")
    assert aws.look([]) == {}
    assert aws.received(ref_of(order())) is None
    assert aws.name == "aws"
