"""A witness: what it signs, what it refuses with which status, and that nothing makes it forget."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from structlog.testing import capture_logs
from tests.logs import ORIGIN, GrownLog
from tests.world import Clock

from countersign.api.witness import make_witness_app
from countersign.auditlog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from countersign.auditlog.merkle import EMPTY_ROOT
from countersign.auditlog.note import NoteRefused, Signature, cosigned_at, parse_note
from countersign.auditlog.signer import Cosigner, Ed25519Signer
from countersign.auditlog.witnessing import (
    LARGEST_SUBMISSION,
    Submission,
    SubmissionRefused,
    read_cosignatures,
    read_size,
    with_cosignatures,
    witnesses_of,
)
from countersign.service.witnessing import WatchedLog, Witness
from countersign.store.witness_state import MemoryFailed, Moved, Signed, WitnessState

COSIGNER = Cosigner.generate("witness.example/w1")


class Rig:
    """A witness of one log, called over HTTP, that can be started again on the same file."""

    def __init__(self, folder: Path, log: GrownLog, *, silence_s: int | None = None) -> None:
        self.path, self.log, self.silence_s, self.clock = folder / "witness.db", log, silence_s, Clock()
        self.start()

    def start(self) -> None:
        watched = WatchedLog(keys=[self.log.signer.verifier()], silence_s=self.silence_s)
        self.witness = Witness(
            cosigner=COSIGNER, logs={watched.origin: watched}, state=WitnessState(self.path), clock=self.clock
        )
        self.client = TestClient(make_witness_app(self.witness, allowed_hosts=["testserver"]))

    def post(self, body: bytes) -> Any:  # noqa: ANN401 - the client's answer
        return self.client.post("/add-checkpoint", content=body)

    def cosigned(self, old: int, new: int) -> Signature:
        answer = self.post(self.log.submission(old, new))
        assert answer.status_code == 200, answer.text
        text = parse_note(self.log.checkpoint(new).encode()).text
        return read_cosignatures(answer.content, text=text, witness=COSIGNER.verifier())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, GrownLog(size=40))
    yield made
    made.witness.state.close()


def test_a_growing_log_is_cosigned_and_the_checkpoint_then_bears_both_names(rig: Rig) -> None:
    rig.cosigned(0, 7)
    rig.clock.forward(seconds=5)
    signature = rig.cosigned(7, 20)
    assert cosigned_at(signature.signature) == int(rig.clock().timestamp())
    note = with_cosignatures(rig.log.checkpoint(20), [signature])
    opened = open_checkpoint(note.encode(), [rig.log.signer.verifier(), COSIGNER.verifier()])
    assert [item.name for item in opened.note.verified] == [ORIGIN, COSIGNER.name]
    assert witnesses_of(note, [COSIGNER.verifier()]) == {COSIGNER.name: cosigned_at(signature.signature)}


def test_the_answer_is_signature_lines_of_the_specifications_form(rig: Rig) -> None:
    answer = rig.post(rig.log.submission(0, 7))
    dash, name, blob = answer.text.removesuffix("\n").split(" ")
    raw = base64.b64decode(blob)
    assert (dash, name, len(raw)) == ("\u2014", COSIGNER.name, 4 + 8 + 64)
    key = hashlib.sha256(COSIGNER.name.encode() + b"\n\x04" + COSIGNER.verifier().public_key).digest()
    assert raw[:4] == key[:4]
    assert int.from_bytes(raw[4:12], "big") == int(rig.clock().timestamp())


def _bent(log: GrownLog) -> bytes:
    body = bytearray(log.submission(7, 20))
    body[-20] ^= 1 if chr(body[-20] ^ 1).isalnum() else 2
    return bytes(body)


@pytest.mark.parametrize(
    ("make", "status"),
    [
        pytest.param(lambda _: b"", 400, id="nothing"),
        pytest.param(lambda log: log.submission(7, 20).replace(b"old 7", b"old 07"), 400, id="a leading zero"),
        pytest.param(lambda log: log.submission(7, 20).replace(b"old 7", b"old +7"), 400, id="a sign"),
        pytest.param(lambda log: log.submission(7, 20).replace(b"old 7\n", b"old 7\r\n"), 400, id="a carriage return"),
        pytest.param(lambda log: log.submission(7, 20).replace(b"old 7", b"old 7 "), 400, id="a space"),
        pytest.param(lambda log: log.submission(7, 20, proof=(b"short",)), 400, id="a hash of five bytes"),
        pytest.param(lambda log: log.submission(7, 20, proof=(b"x" * 32,) * 64), 400, id="64 hashes"),
        pytest.param(lambda log: log.submission(7, 20, checkpoint=b"no note\n"), 400, id="no note"),
        pytest.param(lambda log: log.submission(20, 7), 400, id="an old size beyond the new"),
        pytest.param(
            lambda _: GrownLog(size=40, signer=Ed25519Signer.generate("else.example")).submission(7, 20),
            404,
            id="an unknown log",
        ),
        pytest.param(lambda _: GrownLog(size=40).submission(7, 20), 403, id="another key of that name"),
        pytest.param(_bent, 403, id="a signature that fails"),
        pytest.param(lambda log: log.submission(0, 20), 409, id="an old size that was left behind"),
        pytest.param(lambda log: log.submission(8, 20), 409, id="an old size that was not reached"),
        pytest.param(lambda log: log.submission(7, 20, proof=()), 422, id="no proof"),
        pytest.param(lambda log: log.submission(7, 20, proof=(b"x" * 32,) * 3), 422, id="a wrong proof"),
        pytest.param(lambda log: log.fork(at=3).submission(7, 20), 422, id="a fork before what was signed"),
        pytest.param(lambda log: log.submission(7, 7, proof=(b"x" * 32,)), 422, id="a proof for no growth"),
        pytest.param(lambda log: log.fork(at=3).submission(7, 7), 409, id="another root at the size signed"),
    ],
)
def test_each_condition_of_the_specification_has_its_status_and_moves_nothing(rig: Rig, make: Any, status: int) -> None:  # noqa: ANN401 - makes a body
    rig.cosigned(0, 7)
    answer = rig.post(make(rig.log))
    assert answer.status_code == status
    if status == 409:
        assert answer.content == b"7\n"
        assert answer.headers["content-type"] == "text/x.tlog.size"
    assert "\u2014" not in answer.text
    signed = rig.witness.state.signed(ORIGIN)
    assert signed is not None
    assert (signed.size, signed.root) == (7, rig.log.tree.root(7))


def test_a_first_submission_with_a_proof_is_refused_and_an_empty_tree_is_what_it_is(rig: Rig) -> None:
    assert rig.post(rig.log.submission(0, 7, proof=(b"x" * 32,))).status_code == 422
    for root, status in ((b"x" * 32, 422), (EMPTY_ROOT, 200)):
        note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=0, root=root), [rig.log.signer])
        assert rig.post(Submission(old_size=0, proof=(), checkpoint=note.encode()).encode()).status_code == status
    rig.cosigned(0, 7)


def test_the_same_checkpoint_is_cosigned_again_with_a_later_time(rig: Rig) -> None:
    first = rig.cosigned(0, 7)
    rig.clock.forward(seconds=9)
    assert cosigned_at(rig.cosigned(7, 7).signature) == cosigned_at(first.signature) + 9


def test_a_witness_never_states_an_earlier_time_than_before(rig: Rig) -> None:
    first = rig.cosigned(0, 7)
    rig.clock.forward(seconds=-500)
    assert cosigned_at(rig.cosigned(7, 9).signature) == cosigned_at(first.signature)


def test_what_was_signed_outlives_the_process_and_lies_in_a_private_file(rig: Rig) -> None:
    rig.cosigned(0, 20)
    assert stat.S_IMODE(rig.path.stat().st_mode) == 0o600
    rig.witness.state.close()
    rig.start()
    assert rig.post(rig.log.submission(0, 7)).content == b"20\n"
    assert rig.post(rig.log.fork(at=10).submission(20, 30)).status_code == 422
    rig.cosigned(20, 30)


def test_a_signed_contradiction_is_kept_and_alarmed_once(rig: Rig) -> None:
    rig.cosigned(0, 20)
    assert rig.client.get("/healthz").status_code == 200
    with capture_logs() as logged:
        rig.post(rig.log.fork(at=3).submission(0, 20))
        rig.post(rig.log.fork(at=3).submission(20, 20))
        health = [rig.client.get("/healthz") for _ in range(2)]
    assert [(one.status_code, one.json()["ok"]) for one in health] == [(503, False)] * 2
    assert health[0].json()["logs"] == {ORIGIN: "it signed two histories"}
    assert rig.witness.state.conflicts(ORIGIN) == 1
    assert [line["event"] for line in logged if line["log_level"] == "error"].count("a log needs looking at") == 1
    rig.witness.state.close()
    rig.start()
    assert rig.client.get("/healthz").status_code == 503


def test_a_stranger_with_a_true_checkpoint_and_a_wrong_proof_convicts_nobody(rig: Rig) -> None:
    rig.cosigned(0, 7)
    rig.post(rig.log.submission(7, 20, proof=()))
    assert rig.client.get("/healthz").status_code == 200


def test_silence_is_an_alarm_and_ends_with_the_next_checkpoint(tmp_path: Path) -> None:
    rig = Rig(tmp_path, GrownLog(size=40), silence_s=60)
    rig.clock.forward(seconds=61)
    with capture_logs() as logged:
        assert rig.client.get("/healthz").json()["logs"] == {ORIGIN: "silent for more than 60 s"}
        rig.cosigned(0, 7)
        assert rig.client.get("/healthz").status_code == 200
        rig.clock.forward(seconds=60)
        assert rig.client.get("/healthz").status_code == 200
        rig.clock.forward(seconds=1)
        assert rig.client.get("/healthz").status_code == 503
    told = [line["event"] for line in logged if line["event"] != "call"]
    assert told == ["a log needs looking at", "a log speaks again", "a log needs looking at"]
    rig.witness.state.close()


def test_the_newest_checkpoint_is_shown_with_its_cosignature(rig: Rig) -> None:
    fingerprint = hashlib.sha256(ORIGIN.encode()).hexdigest()
    assert rig.client.get(f"/{fingerprint}/checkpoint").status_code == 404
    rig.cosigned(0, 7)
    shown = rig.client.get(f"/{fingerprint}/checkpoint")
    assert shown.headers["content-type"] == "text/plain; charset=utf-8"
    assert witnesses_of(shown.text, [COSIGNER.verifier()])
    assert open_checkpoint(shown.content, [rig.log.signer.verifier()]).checkpoint.size == 7
    assert rig.client.get("/0000/checkpoint").status_code == 404


def test_a_body_beyond_all_submissions_is_not_read(rig: Rig) -> None:
    assert rig.post(b"old 0\n" + b"x" * LARGEST_SUBMISSION).status_code == 413
    assert rig.client.get("/add-checkpoint").status_code == 405


def test_submissions_at_the_same_moment_leave_one_history(rig: Rig) -> None:
    rig.cosigned(0, 7)
    bodies = [rig.log.submission(7, size) for size in range(8, 40)]
    answers: list[int] = []
    threads = [threading.Thread(target=lambda body=body: answers.append(rig.post(body).status_code)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [409] * (len(bodies) - 1)


def test_two_processes_on_one_file_do_not_overtake_each_other(rig: Rig) -> None:
    rig.cosigned(0, 7)
    second = WitnessState(rig.path)
    before = second.signed(ORIGIN)
    assert before is not None
    rig.cosigned(7, 20)
    with pytest.raises(Moved):
        second.advance(ORIGIN, before, Signed(size=9, root=rig.log.tree.root(9), note="", at=before.at))
    second.close()


@pytest.mark.parametrize("size", [6, 7])
def test_the_file_itself_refuses_to_go_back(rig: Rig, size: int) -> None:
    rig.cosigned(0, 7)
    before = rig.witness.state.signed(ORIGIN)
    assert before is not None
    with pytest.raises(MemoryFailed):
        rig.witness.state.advance(ORIGIN, before, Signed(size=size, root=b"x" * 32, note="", at=before.at))


def test_a_memory_that_cannot_be_written_signs_nothing(rig: Rig) -> None:
    rig.cosigned(0, 7)
    rig.witness.state.close()
    answer = rig.post(rig.log.submission(7, 20))
    assert answer.status_code == 503
    assert "\u2014" not in answer.text


@given(raw=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
@settings(max_examples=200, deadline=None)
def test_arbitrary_bytes_are_refused_or_spell_themselves_again(raw: bytes) -> None:
    with contextlib.suppress(SubmissionRefused):
        assert Submission.decode(raw).encode() == raw


@given(
    old=st.integers(0, 2**64 - 1), proof=st.lists(st.binary(min_size=32, max_size=32), max_size=63), note=st.binary()
)
@settings(max_examples=50, deadline=None)
def test_every_submission_comes_back(old: int, proof: list[bytes], note: bytes) -> None:
    made = Submission(old_size=old, proof=tuple(proof), checkpoint=note)
    assert Submission.decode(made.encode()) == made


@pytest.mark.parametrize(
    ("raw", "size"),
    [(b"7\n", 7), (b"0\n", 0), (b"07\n", None), (b"7", None), (b"", None), (b"-7\n", None), (b"7\n\n", None)],
)
def test_a_size_is_read_from_its_one_spelling(raw: bytes, size: int | None) -> None:
    assert read_size(raw) == size


def test_an_answer_counts_only_with_the_trusted_witness_own_line_over_this_very_text() -> None:
    log, stranger = GrownLog(size=9), Cosigner.generate("stranger.example")
    text, other = (parse_note(log.checkpoint(size).encode()).text for size in (9, 8))
    line, strange = (one.cosign(text.encode(), 5).line().encode() for one in (COSIGNER, stranger))
    assert read_cosignatures(strange + line, text=text, witness=COSIGNER.verifier()).name == COSIGNER.name
    for answer in (b"", strange, COSIGNER.cosign(other.encode(), 5).line().encode(), b"\n" + line, line + b"x\n"):
        with pytest.raises(NoteRefused):
            read_cosignatures(answer, text=text, witness=COSIGNER.verifier())


def test_a_time_beyond_the_specification_is_no_cosignature() -> None:
    text = b"one\n2\nthree\n"
    assert COSIGNER.verifier().verify(text, COSIGNER.cosign(text, 2**63 - 1).signature)
    assert not COSIGNER.verifier().verify(text, COSIGNER.cosign(text, 2**63).signature)


# Published with the specifications (tlog-witness, tlog-cosignature).
PUBLISHED_PROOF = (
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=",
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=",
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=",
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=",
)
PUBLISHED_CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_the_published_examples_are_read_and_written_to_the_byte() -> None:
    body = f"old 20852014\n{''.join(line + chr(10) for line in PUBLISHED_PROOF)}\n{PUBLISHED_CHECKPOINT}".encode()
    read = Submission.decode(body)
    assert (read.old_size, len(read.proof), read.encode()) == (20852014, 4, body)
    note = parse_note(read.checkpoint)
    assert with_cosignatures(PUBLISHED_CHECKPOINT, note.signatures) == PUBLISHED_CHECKPOINT
    assert cosigned_at(note.signatures[1].signature) == 1679315147
