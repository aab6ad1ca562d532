"""A pipeline at a local issuer that speaks as GitHub Actions does: it asks, waits and draws, and nobody behind it signs."""

from __future__ import annotations

import copy
import json
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from tests.cli.desk import Desk, Ran, listening_desk
from tests.issuer import LocalIssuer, serving
from tests.world import CATALOG, DIRECTORY, entitlement

from countersign.domain.canonical import digest
from countersign.domain.request import DIGEST_LABEL

COMMIT = "a" * 39 + "b"
BOUND = {
    "repository": "orders/shop",
    "environment": "production",
    "job_workflow_ref": "orders/shop/.github/workflows/deploy.yml@refs/heads/main",
}
AUDIENCE = "https://broker.example"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ACTORS = {"101": "alice", "102": "bob", "103": "carol"}


def rules(issuer: LocalIssuer, **terms: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - keys of the table
    catalog, directory = copy.deepcopy(CATALOG), copy.deepcopy(DIRECTORY)
    trusted = {
        "id": "actions",
        "url": issuer.url,
        "use": "pipelines",
        "audience": AUDIENCE,
        "algorithms": ["RS256"],
        "environments": {"production": 600},
        "actor_claims": ["actor_id", "triggering_actor_id"],
    }
    catalog["trust"] = {"issuer": [trusted | terms]}
    catalog["entitlement"].append(
        entitlement("deploy", parameters={"commit": {"pattern": "[0-9a-f]{40}"}}, requesters=["deployers"])
    )
    catalog["entitlement"].append(
        entitlement("shop-deploy", parameters={"commit": {"pattern": "[0-9a-f]{40}"}}, requesters=["deployers"])
    )
    catalog["entitlement"].append(
        entitlement("shop-image", parameters={"image": {"pattern": "sha256:[0-9a-f]{64}"}}, requesters=["deployers"])
    )
    directory["person"].append({"id": "shop-ci", "name": "The shop's pipeline"})
    directory["principal"] += [
        {"id": "shop-deploy", "person": "shop-ci", "human": False, "issuer": "actions", "claims": BOUND},
        *(
            {"id": f"{who}-actions", "person": who, "issuer": "actions", "subject": number}
            for number, who in ACTORS.items()
        ),
        *({"id": who, "person": who} for who in ("carol",)),
    ]
    directory["group"].append({"id": "deployers", "members": ["shop-ci"], "roles": ["requester"]})
    return {"catalog": catalog, "directory": directory}


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A CI runner: it hands a job tokens of its own, and runs commands in it."""

    desk: Desk
    issuer: LocalIssuer
    url: str
    home: Path
    job: dict[str, Any]

    def token(self, **changes: Any) -> str:  # noqa: ANN401 - claims
        said = {"aud": AUDIENCE, "jti": secrets.token_hex(8)} | self.job | changes
        return self.issuer.sign(self.issuer.claims("repo:orders/shop:environment:production", **said))

    def exchange(self, token: str, **changes: str) -> httpx2.Response:
        form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN} | changes
        return httpx2.post(f"{self.desk.url}/v1/token", data=form, timeout=30)

    def enter(self, **changes: Any) -> str:  # noqa: ANN401 - claims
        answer = self.exchange(self.token(**changes))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def environment(self) -> dict[str, str]:
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner-secret",
            "COUNTERSIGN_AUDIENCE": AUDIENCE,
            "COUNTERSIGN_HOME": str(self.home),
        }

    def run(self, *args: str) -> Ran:
        return self.desk.run(None, *args, **self.environment())


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with serving() as issuer, listening_desk(tmp_path, **rules(issuer)) as desk:
        issuer.clock = desk.world.clock
        made: list[Runner] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query)
                fit = self.headers["Authorization"] == "bearer runner-secret" and asked["audience"] == [AUDIENCE]
                body = json.dumps({"value": made[0].token()} if fit else {}).encode()
                self.send_response(200 if fit else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                del args

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        job = BOUND | {"actor_id": "101", "triggering_actor_id": "101", "sha": COMMIT}
        url = f"http://127.0.0.1:{server.server_port}"
        made.append(Runner(desk=desk, issuer=issuer, url=url, home=tmp_path / "home", job=job))
        yield made[0]
        server.shutdown()
        server.server_close()


GATE = ("ci", "gate", "deploy", "--commit", COMMIT, "--for", "5m", "--reason", "release 7")


def test_a_deployment_waits_for_somebody_else_writes_the_evidence_and_draws(runner: Runner) -> None:
    evidence = runner.home.parent / "evidence.json"
    command = runner.desk.start(None, *GATE, "--evidence", str(evidence), "--wait", "30s", **runner.environment())
    assert command.stderr is not None
    asked = command.stderr.readline().split()
    request_id, digest = asked[1].rstrip(","), asked[3]
    own = runner.desk.run("alice", "approve", request_id, "--digest", digest)
    assert own.code in {5, 6}, "alice started the run"
    assert command.poll() is None
    assert runner.desk.run("bob", "approve", request_id, "--digest", digest).code == 0
    runner.desk.world.issuing.checkpoints.sign()
    out, err = command.communicate(timeout=30)
    assert command.returncode == 0, err
    assert "approved by bob" in out
    found = json.loads(evidence.read_text())
    assert found["about"] == {"commit": COMMIT}
    assert found["request"]["parameters"] == {"commit": COMMIT}
    assert found["request"]["statement"]["behind"] == ["alice"]
    assert {entry["type"] for entry in found["entries"]} >= {"request.submitted", "review.recorded", "request.decided"}
    assert found["checkpoint"].startswith("test.example/log\n")
    drawn = runner.run("draw", found["request"]["grant_id"], "--json")
    assert drawn.code == 0, drawn.err
    assert list(runner.home.glob("*")) == [], "nothing of a pipeline's session is kept"


def signed_while(runner: Runner, command: subprocess.Popen[str]) -> str:
    """Let bob approve what a waiting command asked for, by the digest that it printed; return what it printed itself."""
    assert command.stderr is not None
    asked = command.stderr.readline().split()
    approved = runner.desk.run("bob", "approve", asked[1].rstrip(","), "--digest", asked[3])
    assert approved.code == 0, approved.err
    runner.desk.world.issuing.checkpoints.sign()
    out, err = command.communicate(timeout=30)
    assert command.returncode == 0, err
    return out


def test_an_image_is_approved_by_its_digest_and_no_other_is_in_what_was_signed(runner: Runner) -> None:
    image, evidence = "sha256:" + "c" * 64, runner.home.parent / "evidence.json"
    gate = ("ci", "gate", "shop-image", "--image", image, "--for", "5m", "--reason", "release 7")
    signed_while(runner, runner.desk.start(None, *gate, "--evidence", str(evidence), **runner.environment()))
    found = json.loads(evidence.read_text())
    assert found["about"] == found["request"]["statement"]["parameters"] == {"image": image}
    assert digest(DIGEST_LABEL, found["request"]["statement"]) == found["request"]["digest"]
    other = digest(DIGEST_LABEL, found["request"]["statement"] | {"parameters": {"image": "sha256:" + "d" * 64}})
    assert other != found["request"]["digest"]


def test_the_documented_workflow_is_played_as_it_stands(runner: Runner, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text()
    steps = re.findall(r"^      - run: (.+)$", text.split("## A workflow")[1], re.MULTILINE)
    assert steps[0].startswith("pipx install ")
    shims = {
        "countersign": f'exec {sys.executable} -m countersign "$@"',
        "jq": f'exec {sys.executable} -c \'import json, sys; print(json.load(open(sys.argv[3]))["request"]["grant_id"])\' "$@"',
    }
    (tmp_path / "bin").mkdir()
    for name, line in shims.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    environment = runner.desk.environment(None, **runner.environment(), GITHUB_SHA=COMMIT, GITHUB_RUN_ID="7")
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
    job = subprocess.Popen(
        ["/bin/sh", "-euc", "\n".join(steps[1:])],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "approved by bob" in signed_while(runner, job)
    assert json.loads((tmp_path / "credential.json").read_text())["lease"]["state"] == "active"
    assert json.loads((tmp_path / "evidence.json").read_text())["about"] == {"commit": COMMIT}


def test_a_deployment_that_is_denied_or_not_decided_does_not_go_on(runner: Runner) -> None:
    evidence = runner.home.parent / "evidence.json"
    ran = runner.run(*GATE, "--evidence", str(evidence), "--wait", "1s")
    assert ran.code == 8
    command = runner.desk.start(None, *GATE, "--evidence", str(evidence), **runner.environment())
    assert command.stderr is not None
    asked = command.stderr.readline().split()
    assert runner.desk.run("bob", "deny", asked[1].rstrip(","), "--digest", asked[3]).code == 0
    command.communicate(timeout=30)
    assert command.returncode == 3
    assert not evidence.exists()


def test_a_pipeline_asks_for_the_commit_that_it_runs_on_and_for_no_other(runner: Runner) -> None:
    other = (*GATE[:4], "f" * 40, *GATE[5:])
    ran = runner.run(*other, "--evidence", str(runner.home.parent / "evidence.json"), "--wait", "1s")
    assert (ran.code, "the commit that it runs on" in ran.err) == (2, True)
    assert runner.desk.world.facts("request.submitted") == []


@pytest.mark.parametrize(
    "args", [("--commit", "main"), ("--image", "shop:latest"), (), ("--commit", COMMIT, "--image", "x")]
)
def test_what_can_be_moved_names_no_deployment(runner: Runner, args: tuple[str, ...]) -> None:
    ran = runner.run("ci", "gate", "deploy", *args, "--for", "5m", "--reason", "x", "--evidence", "e.json")
    assert ran.code == 2


def test_nobody_behind_a_run_signs_it_by_whatever_account_and_no_pipeline_signs_at_all(runner: Runner) -> None:
    token = runner.enter(actor_id="101", triggering_actor_id="102")
    headers = {"Authorization": f"Bearer {token}"}
    body = {"entitlement": "deploy", "parameters": {"commit": COMMIT}, "duration_s": 60, "reason": "release"}
    asked = httpx2.post(f"{runner.desk.url}/v1/requests", json=body, headers=headers).json()
    assert asked["may_review"] == ["carol"]
    word = {"decision": "approve", "digest": asked["digest"]}
    reviews = f"{runner.desk.url}/v1/requests/{asked['id']}/reviews"
    bob = {"Authorization": f"Bearer {runner.desk.tokens['bob']}"}
    assert httpx2.post(reviews, json=word, headers=bob).json()["code"] == "self-review"
    assert httpx2.post(reviews, json=word, headers=headers).json()["code"] == "self-review"
    other = httpx2.post(
        f"{runner.desk.url}/v1/requests", json=body, headers={"Authorization": f"Bearer {runner.desk.tokens['alice']}"}
    )
    assert other.json()["code"] == "not-eligible", "alice is no deployer herself"
    carol = {"Authorization": f"Bearer {runner.desk.tokens['carol']}"}
    assert httpx2.post(reviews, json=word, headers=carol).json()["state"] == "approved"


FORGED: dict[str, dict[str, Any]] = {
    "a fork": {"repository": "mallory/shop"},
    "another environment": {"environment": "staging"},
    "no environment": {"environment": None},
    "another workflow": {"job_workflow_ref": "orders/shop/.github/workflows/test.yml@refs/heads/main"},
    "another branch's workflow": {"job_workflow_ref": BOUND["job_workflow_ref"].replace("main", "evil")},
    "no jti": {"jti": None},
    "another audience": {"aud": "https://somebody-else.example"},
    "no actor": {"actor_id": None},
    "an actor that is a number": {"actor_id": 101},
    "an actor whom nobody knows": {"actor_id": "999"},
    "triggered by whom nobody knows": {"triggering_actor_id": "999"},
    "expired": {"exp": 1, "iat": 0},
}


def test_a_token_that_is_not_of_the_bound_pipeline_is_refused_by_the_rfc_s_words(runner: Runner) -> None:
    for name, changes in FORGED.items():
        answer = runner.exchange(runner.token(**changes))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), name
        assert "access_token" not in answer.text
    assert runner.desk.world.facts("session.opened") == []


def test_a_token_is_good_once_also_for_two_at_the_same_moment(runner: Runner) -> None:
    token = runner.token(jti="same")
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(runner.exchange(token).status_code)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 400, 400, 400]
    assert runner.exchange(runner.token(jti="same", sha="c" * 40)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"grant_type": "client_credentials"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "x"},
        {"subject_token": ""},
    ],
    ids=str,
)
def test_what_is_no_token_exchange_is_an_invalid_request(runner: Runner, changes: dict[str, str]) -> None:
    answer = runner.exchange(runner.token(), **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_an_issuer_of_pipelines_signs_no_person_in(runner: Runner) -> None:
    browser = httpx2.get(f"{runner.desk.url}/sign-in/to/actions", follow_redirects=False)
    assert browser.status_code == 404


def test_the_authors_of_the_commit_are_behind_it_where_a_source_is_countersigned(tmp_path: Path) -> None:
    with (
        serving() as issuer,
        listening_desk(
            tmp_path, **rules(issuer, commits_url="https://git.example/repos/{repository}/commits/{sha}")
        ) as desk,
    ):
        issuer.clock = desk.world.clock
        job = BOUND | {"actor_id": "101", "triggering_actor_id": "101", "sha": COMMIT}
        runner = Runner(desk=desk, issuer=issuer, url="", home=tmp_path, job=job)
        told: dict[str, Any] = {"sha": COMMIT, "author": {"id": 102}, "committer": {"id": 1, "login": "web-flow"}}
        asked: list[str] = []
        with desk.world.store.read() as tx:
            known = desk.world.broker.office.rules.current(tx)
        pipelines = desk.world.broker.pipelines
        provider = pipelines.identities.provider_at(known, issuer.url, use=known.catalog.trust.issuers["actions"].use)
        assert provider is not None
        get = provider.fetcher.get

        def answer(url: str, *, bearer: str | None = None) -> dict[str, Any]:
            if "git.example" not in url:
                return get(url, bearer=bearer)
            asked.append(url)
            return told

        provider.fetcher.__dict__["get"] = answer
        runner.enter()
        (opened,) = desk.world.facts("session.opened")
        with desk.world.store.read() as tx:
            session = tx.sessions_of("shop-ci")[0]
        assert (session.behind, opened["actor"]) == (frozenset({"alice", "bob"}), "shop-ci")
        assert asked == [f"https://git.example/repos/orders/shop/commits/{COMMIT}"]
        told["author"] = None
        assert runner.exchange(runner.token()).json()["error"] == "invalid_grant", (
            "an author without an account is unknown"
        )
        told["author"], told["sha"] = {"id": 102}, "d" * 40
        assert runner.exchange(runner.token()).json()["error"] == "temporarily_unavailable"
