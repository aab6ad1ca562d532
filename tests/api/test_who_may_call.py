"""The table of who may call what, cell by cell."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest
from tests.api.calling import PRINCIPALS, Api, ask, new_world
from tests.signers import Signers, authenticator
from tests.world import BEGINNING, CATALOG, entitlement

from countersign.domain.passkey import (
    enrolment_digest,
    proof_challenge,
    registration_challenge,
    removal_challenge,
    rules_challenge,
    vouch_challenge,
)
from countersign.store import RaisedFinding

pytestmark = pytest.mark.slow

OK = "ok"
OF_ANYONE = {"GET /sign-in/issuers", "POST /sign-in/device", "POST /sign-in/refresh"}
"""Calls by which somebody becomes known; tried in `test_signing_in` and `test_sign_in_attacks`."""

TABLE = """
call                                 | alice         | alice-laptop  | dave          | bob           | bob-bot       | carol         | erin          | frank         | grace         | olga
POST /requests                       | ok            | ok            | ok            | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted
GET /requests                        | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /requests/{id}                   | ok            | ok            | not-found     | ok            | ok            | ok            | ok            | not-found     | not-found     | ok
POST /requests/{id}/reviews          | self-review   | self-review   | not-found     | ok            | not-eligible  | ok            | not-eligible  | not-found     | not-found     | not-eligible
POST /requests/{id}/resubmit         | ok            | ok            | not-found     | not-yours     | not-yours     | not-yours     | not-yours     | not-found     | not-found     | not-yours
POST /requests/{id}/withdraw         | ok            | ok            | not-found     | not-yours     | not-yours     | not-yours     | not-yours     | not-found     | not-found     | not-yours
GET /requests/{id}/why               | ok            | ok            | not-found     | ok            | ok            | ok            | ok            | not-found     | not-found     | ok
GET /grants/{id}/why                 | ok            | ok            | not-found     | ok            | ok            | ok            | ok            | not-found     | not-found     | ok
GET /entitlements/{id}/why           | ok            | ok            | not-permitted | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /grants                          | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /grants/{id}                     | ok            | ok            | not-found     | ok            | ok            | ok            | ok            | not-found     | not-found     | ok
POST /grants/{id}/draw               | ok            | ok            | not-found     | not-yours     | not-yours     | not-yours     | not-yours     | not-found     | not-found     | not-yours
POST /grants/{id}/return             | ok            | ok            | not-found     | not-yours     | not-yours     | not-yours     | not-yours     | not-found     | not-found     | not-yours
POST /grants/{id}/revoke             | ok            | ok            | not-found     | ok            | ok            | not-eligible  | not-eligible  | not-found     | not-found     | ok
GET /envelopes                       | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
POST /envelopes                      | not-eligible  | not-eligible  | not-eligible  | ok            | not-eligible  | ok            | not-eligible  | not-eligible  | not-eligible  | not-eligible
GET /envelopes/{id}                  | not-found     | not-found     | not-found     | ok            | ok            | ok            | ok            | not-found     | not-found     | ok
POST /envelopes/{id}/sign            | not-found     | not-found     | not-found     | ok            | not-eligible  | ok            | not-eligible  | not-found     | not-found     | not-eligible
POST /envelopes/{id}/revoke          | not-found     | not-found     | not-found     | ok            | ok            | ok            | not-eligible  | not-found     | not-found     | ok
POST /envelopes/{id}/open            | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-eligible  | not-permitted | not-permitted | not-permitted | not-permitted
GET /after-reviews                   | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
POST /grants/{id}/after-review       | self-review   | self-review   | not-found     | self-review   | self-review   | ok            | not-eligible  | not-found     | not-found     | not-eligible
GET /passkeys                        | ok            | ok            | ok            | ok            | not-eligible  | ok            | ok            | ok            | ok            | ok
GET /passkeys/{id}                   | ok            | ok            | ok            | ok            | not-eligible  | ok            | ok            | ok            | ok            | ok
GET /passkeys/ceremony               | ok            | ok            | ok            | ok            | not-eligible  | ok            | ok            | ok            | ok            | ok
POST /passkeys/prepare               | ok            | ok            | ok            | ok            | not-eligible  | ok            | ok            | ok            | ok            | ok
POST /passkeys                       | ok            | ok            | ok            | ok            | not-eligible  | ok            | ok            | ok            | ok            | ok
POST /passkeys/{id}/vouch            | bad-signature | bad-signature | bad-signature | ok            | not-eligible  | ok            | bad-signature | ok            | ok            | bad-signature
POST /passkeys/{id}/remove           | bad-signature | bad-signature | bad-signature | ok            | not-eligible  | ok            | bad-signature | ok            | ok            | bad-signature
POST /passkey-pages                  | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /passkey-pages/{id}              | ok            | not-found     | not-found     | not-found     | not-found     | not-found     | not-found     | not-found     | not-found     | not-found
GET /leases                          | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /leases/{id}                     | ok            | ok            | not-found     | ok            | ok            | ok            | ok            | not-found     | not-found     | ok
GET /entitlements                    | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /catalog                         | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | ok            | ok            | ok
GET /catalog/proposals               | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | ok            | ok            | ok
POST /catalog/proposals              | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | ok            | not-permitted
GET /catalog/proposals/{id}          | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | ok            | ok            | ok
POST /catalog/proposals/{id}/approve | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | self-review   | ok            | not-permitted
POST /catalog/proposals/{id}/sign    | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-eligible  | not-permitted
POST /catalog/proposals/{id}/reject  | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | ok            | not-permitted
GET /audit/entries                   | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | not-permitted
GET /audit/entries?subject=          | ok            | ok            | not-found     | ok            | ok            | ok            | ok            | not-found     | not-found     | ok
GET /audit/export                    | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | not-permitted
GET /audit/pack                      | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | not-permitted
POST /campaigns                      | not-eligible  | not-eligible  | not-eligible  | ok            | not-eligible  | ok            | ok            | not-eligible  | not-eligible  | not-eligible
GET /campaigns                       | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /campaigns/{id}                  | not-found     | not-found     | not-found     | ok            | ok            | ok            | ok            | not-found     | not-found     | ok
POST /campaigns/{id}/decide          | not-eligible  | not-eligible  | not-eligible  | ok            | not-eligible  | ok            | ok            | not-eligible  | not-eligible  | not-eligible
POST /audit/reviews                  | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | not-permitted
GET /audit/questions/who-had         | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /audit/questions/had             | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /audit/questions/late            | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /audit/questions/who-could-approve | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /audit/questions/reconstruct/{id} | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /audit/questions/done/{id}       | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /audit/questions/break-glass     | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /audit/findings                  | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /events                          | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /findings                        | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /retention/erasures              | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
POST /retention/erasures             | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
POST /retention/erasures/{id}/approve | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-found     | not-permitted | not-permitted | not-found
POST /findings/{id}/acknowledge      | not-found     | not-found     | not-found     | ok            | not-eligible  | ok            | ok            | not-found     | not-found     | not-eligible
GET /followers                       | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /witnesses                       | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | ok
GET /log/checkpoint                  | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /log/keys                        | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
POST /stop                           | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | not-permitted | ok
POST /lock                           | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | not-permitted | ok
GET /stops                           | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | ok            | not-permitted | not-permitted | ok
POST /stops/{id}/lift                | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok            | not-permitted | not-permitted | not-permitted | not-permitted
POST /persons/{id}/disable           | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | not-permitted | ok
GET /me                              | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
POST /me/token                       | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
GET /sessions                        | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok            | ok
POST /sessions/{id}/revoke           | not-found     | not-found     | not-found     | not-found     | not-found     | not-found     | not-found     | not-found     | not-found     | not-found
"""  # noqa: E501 - a table is read across
"""alice asked and bob approved; olga placed the stop, frank made the proposal.

alice-laptop is another account of alice, bob-bot a machine of bob.
"""

ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
CALLERS = ROWS[0][1:]
CELLS = [(row[0], who, expected) for row in ROWS[1:] for who, expected in zip(CALLERS, row[1:], strict=True)]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A database in which there is one of everything, all alice's."""

    database: Path
    tokens: dict[str, str]
    pending: str
    countered: str
    digest: str
    undrawn: str
    drawn: str
    lease: str
    stop: str
    proposal: str
    proposal_digest: str
    envelope: str
    envelope_digest: str
    emergency: str
    passkey: str
    waiting: str
    waiting_digest: str
    page: str
    campaign: str

    def api(self, folder: Path) -> Api:
        shutil.copy(self.database, folder / "copy.db")
        return Api(world=new_world(folder / "copy.db"), tokens=self.tokens)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    database = tmp_path_factory.mktemp("scene") / "countersign.db"
    api = Api(world=new_world(database))
    glass = [*CATALOG["entitlement"], entitlement("root", break_glass=GLASS)]
    api.world.adopt(catalog={**CATALOG, "trust": SIGNERS.trust(), "entitlement": glass})
    waiting = _enrol(api, "alice").json()
    api.world.issuing.checkpoints.sign()
    envelope = api.post("bob", "/v1/envelopes", json=ENVELOPE).json()
    emergency = api.granted(entitlement="root", emergency={"incident": "INC-7"})
    pending = api.asked()
    countered = api.asked()
    denial = {"decision": "deny", "digest": countered["digest"], "counter": {"duration_s": 30}}
    api.post("bob", f"/v1/requests/{countered['id']}/reviews", json=denial)
    drawn = api.granted()
    lease = api.draw(drawn).json()["lease"]["id"]
    body = {"scope": "person", "id": "erin", "reason": "a stop to be lifted"}
    stop = api.post("olga", "/v1/stop", json=body).json()["stop"]["id"]
    with api.world.store.begin() as tx:
        tx.add_finding(FINDING)
    proposal = api.post("frank", "/v1/catalog/proposals", json=OTHER_RULES).json()
    made = Scene(
        database=database,
        tokens=api.tokens,
        pending=pending["id"],
        countered=countered["id"],
        digest=pending["digest"],
        undrawn=api.granted(),
        drawn=drawn,
        lease=lease,
        stop=stop,
        proposal=proposal["id"],
        proposal_digest=proposal["digest"],
        envelope=envelope["id"],
        envelope_digest=envelope["digest"],
        emergency=emergency,
        passkey=SIGNERS["carol"].passkey().id,
        waiting=waiting["id"],
        waiting_digest=waiting["digest"],
        page=api.post("alice", "/v1/passkey-pages", json={"act": "vouch", "subject": waiting["id"]}).json()["id"],
        campaign=api.post("erin", "/v1/campaigns", json={"groups": ["engineers"], "due_s": 86400}).json()["id"],
    )
    api.world.store.close()
    return made


@pytest.fixture(scope="module")
def standing(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The scene for all calls that change nothing; one that does is caught by what it records."""
    api = scene.api(tmp_path_factory.mktemp("standing"))
    yield api
    api.world.store.close()


@pytest.fixture(scope="module")
def without_dave(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The scene after dave was disabled."""
    api = scene.api(tmp_path_factory.mktemp("without-dave"))
    assert api.post("olga", "/v1/persons/dave/disable", json={"reason": "left"}).is_success
    yield api
    api.world.store.close()


@pytest.fixture
def api(scene: Scene, standing: Api, tmp_path: Path, call: str, expected: str) -> Iterator[Api]:
    """The scene as it was for a call that changes it, and otherwise as everybody found it."""
    if expected != OK or call.startswith("GET"):
        yield standing
        return
    api = scene.api(tmp_path)
    yield api
    api.world.store.close()


SIGNERS = Signers()
OTHER_RULES = {
    "catalog": {**CATALOG, "trust": SIGNERS.trust(), "entitlement": [*CATALOG["entitlement"], entitlement("another")]},
    "reason": "a new target",
}

FINDING = RaisedFinding(
    id="fnd_" + "a" * 16,
    index=0,
    detector="creep",
    severity="low",
    owner="orders-owners",
    persons=("alice",),
    evidence=(0,),
    detail="alice had everything",
    raised_at=BEGINNING,
)

GLASS = {"review": [{"group": "orders-owners", "count": 1}], "max_duration_s": 600}
ENVELOPE = {"entitlement": "root", "valid_s": 3600, "uses": 1, "max_duration_s": 60}
OPENING = {"incident": "INC-7", "duration_s": 60, "parameters": {}, "reason": "nobody answers"}
WORD = {"verdict": "justified", "comment": "I looked"}

LOCK = {"scope": "person", "id": "dave", "until": "2026-11-22T10:00:00.000Z", "reason": "what is he doing"}
OF_EVERYBODY = {"GET /me", "GET /entitlements", "GET /log/checkpoint", "GET /sessions", "GET /me/sessions"}
"""Reads that are no evidence: not even an auditor's is recorded."""
UNRECORDED = {"POST /passkeys/prepare", "POST /passkey-pages"}
"""Calls that only prepare what is recorded when it is done."""


def _person(who: str | None) -> str:
    return {"alice-laptop": "alice", "bob-bot": "bob"}.get(str(who), str(who))


def _prepare(api: Api, who: str | None) -> httpx2.Response:
    made = authenticator(_person(who)).make(registration_challenge(person=_person(who), said_at=MOMENT))
    return api.post(who, "/v1/passkeys/prepare", json=made | {"said_at": MOMENT})


def _enrol(api: Api, who: str | None) -> httpx2.Response:
    key = authenticator(_person(who))
    passkey = key.passkey()
    proof = key.sign(proof_challenge(enrolment_digest(passkey, MOMENT))).document()
    return api.post(who, "/v1/passkeys", json={"passkey": passkey.document(), "said_at": MOMENT, "proof": proof})


def _vouch(api: Api, who: str | None, scene: Scene) -> httpx2.Response:
    key = SIGNERS.keys.get(_person(who)) or authenticator(_person(who))
    signed = key.sign(vouch_challenge(enrolment=scene.waiting_digest, voucher=_person(who))).document()
    return api.post(who, f"/v1/passkeys/{scene.waiting}/vouch", json={"signature": signed})


def _sign_rules(api: Api, who: str | None, scene: Scene) -> httpx2.Response:
    key = SIGNERS.keys.get(_person(who)) or authenticator(_person(who))
    challenge = rules_challenge(
        proposal=scene.proposal, digest=scene.proposal_digest, act="propose", author=_person(who)
    )
    body = {"digest": scene.proposal_digest, "signature": key.sign(challenge).document()}
    return api.post(who, f"/v1/catalog/proposals/{scene.proposal}/sign", json=body)


def _remove(api: Api, who: str | None, scene: Scene) -> httpx2.Response:
    key = SIGNERS.keys.get(_person(who)) or authenticator(_person(who))
    signed = key.sign(removal_challenge(passkey=scene.passkey, remover=_person(who))).document()
    return api.post(who, f"/v1/passkeys/{scene.passkey}/remove", json={"signature": signed, "reason": "lost"})


MOMENT = "2026-11-22T09:00:00.000Z"
ASKED = ("GET /audit/questions/", "GET /audit/findings", "GET /audit/pack")
"""Reads that are facts themselves."""

CALLS: dict[str, Callable[[Api, str | None, Scene], httpx2.Response]] = {
    "POST /requests": lambda api, who, _: api.post(who, "/v1/requests", json=ask()),
    "GET /requests": lambda api, who, _: api.get(who, "/v1/requests"),
    "GET /requests/{id}": lambda api, who, scene: api.get(who, f"/v1/requests/{scene.pending}"),
    "POST /requests/{id}/reviews": lambda api, who, scene: api.post(
        who, f"/v1/requests/{scene.pending}/reviews", json={"decision": "approve", "digest": scene.digest}
    ),
    "POST /requests/{id}/resubmit": lambda api, who, scene: api.post(who, f"/v1/requests/{scene.countered}/resubmit"),
    "POST /requests/{id}/withdraw": lambda api, who, scene: api.post(who, f"/v1/requests/{scene.pending}/withdraw"),
    "GET /requests/{id}/why": lambda api, who, scene: api.get(who, f"/v1/requests/{scene.pending}/why"),
    "GET /grants/{id}/why": lambda api, who, scene: api.get(who, f"/v1/grants/{scene.drawn}/why"),
    "GET /entitlements/{id}/why": lambda api, who, _: api.get(who, "/v1/entitlements/orders-db-read/why?person=alice"),
    "GET /grants": lambda api, who, _: api.get(who, "/v1/grants"),
    "GET /grants/{id}": lambda api, who, scene: api.get(who, f"/v1/grants/{scene.drawn}"),
    "POST /grants/{id}/draw": lambda api, who, scene: api.draw(scene.undrawn, who),
    "POST /grants/{id}/return": lambda api, who, scene: api.post(who, f"/v1/grants/{scene.drawn}/return"),
    "POST /grants/{id}/revoke": lambda api, who, scene: api.post(
        who, f"/v1/grants/{scene.drawn}/revoke", json={"reason": "enough"}
    ),
    "GET /envelopes": lambda api, who, _: api.get(who, "/v1/envelopes"),
    "POST /envelopes": lambda api, who, _: api.post(who, "/v1/envelopes", json=ENVELOPE),
    "GET /envelopes/{id}": lambda api, who, scene: api.get(who, f"/v1/envelopes/{scene.envelope}"),
    "POST /envelopes/{id}/sign": lambda api, who, scene: api.post(
        who, f"/v1/envelopes/{scene.envelope}/sign", json={"digest": scene.envelope_digest}
    ),
    "POST /envelopes/{id}/revoke": lambda api, who, scene: api.post(who, f"/v1/envelopes/{scene.envelope}/revoke"),
    "POST /envelopes/{id}/open": lambda api, who, scene: api.post(
        who, f"/v1/envelopes/{scene.envelope}/open", json=OPENING
    ),
    "GET /after-reviews": lambda api, who, _: api.get(who, "/v1/after-reviews"),
    "POST /grants/{id}/after-review": lambda api, who, scene: api.post(
        who, f"/v1/grants/{scene.emergency}/after-review", json=WORD
    ),
    "GET /passkeys": lambda api, who, _: api.get(who, "/v1/passkeys"),
    "GET /passkeys/{id}": lambda api, who, scene: api.get(who, f"/v1/passkeys/{scene.passkey}"),
    "GET /passkeys/ceremony": lambda api, who, _: api.get(who, "/v1/passkeys/ceremony"),
    "POST /passkeys/prepare": lambda api, who, _: _prepare(api, who),
    "POST /passkeys": lambda api, who, _: _enrol(api, who),
    "POST /passkeys/{id}/vouch": _vouch,
    "POST /passkeys/{id}/remove": _remove,
    "POST /passkey-pages": lambda api, who, scene: api.post(
        who, "/v1/passkey-pages", json={"act": "approve", "subject": scene.pending}
    ),
    "GET /passkey-pages/{id}": lambda api, who, scene: api.get(who, f"/v1/passkey-pages/{scene.page}"),
    "GET /leases": lambda api, who, _: api.get(who, "/v1/leases"),
    "GET /leases/{id}": lambda api, who, scene: api.get(who, f"/v1/leases/{scene.lease}"),
    "GET /entitlements": lambda api, who, _: api.get(who, "/v1/entitlements"),
    "GET /catalog": lambda api, who, _: api.get(who, "/v1/catalog"),
    "GET /catalog/proposals": lambda api, who, _: api.get(who, "/v1/catalog/proposals"),
    "POST /catalog/proposals": lambda api, who, _: api.post(who, "/v1/catalog/proposals", json=OTHER_RULES),
    "GET /catalog/proposals/{id}": lambda api, who, scene: api.get(who, f"/v1/catalog/proposals/{scene.proposal}"),
    "POST /catalog/proposals/{id}/approve": lambda api, who, scene: api.post(
        who, f"/v1/catalog/proposals/{scene.proposal}/approve", json={"digest": scene.proposal_digest}
    ),
    "POST /catalog/proposals/{id}/sign": _sign_rules,
    "POST /catalog/proposals/{id}/reject": lambda api, who, scene: api.post(
        who, f"/v1/catalog/proposals/{scene.proposal}/reject"
    ),
    "GET /audit/entries": lambda api, who, _: api.get(who, "/v1/audit/entries"),
    "GET /audit/entries?subject=": lambda api, who, scene: api.get(who, f"/v1/audit/entries?subject={scene.pending}"),
    "GET /audit/export": lambda api, who, _: api.get(who, "/v1/audit/export"),
    "GET /audit/pack": lambda api, who, _: api.get(who, f"/v1/audit/pack?since={MOMENT}&until={MOMENT}&sample=1"),
    "POST /campaigns": lambda api, who, _: api.post(
        who, "/v1/campaigns", json={"groups": ["engineers"], "due_s": 86400}
    ),
    "GET /campaigns": lambda api, who, _: api.get(who, "/v1/campaigns"),
    "GET /campaigns/{id}": lambda api, who, scene: api.get(who, f"/v1/campaigns/{scene.campaign}"),
    "POST /campaigns/{id}/decide": lambda api, who, scene: api.post(
        who,
        f"/v1/campaigns/{scene.campaign}/decide",
        json={"person": "dave", "group": "engineers", "ruling": "keep"},
    ),
    "POST /audit/reviews": lambda api, who, _: api.post(
        who, "/v1/audit/reviews", json={"since": MOMENT, "until": MOMENT, "exceptions": 0}
    ),
    "GET /audit/questions/who-had": lambda api, who, _: api.get(
        who, f"/v1/audit/questions/who-had?entitlement=orders-db-read&at={MOMENT}"
    ),
    "GET /audit/questions/had": lambda api, who, _: api.get(who, "/v1/audit/questions/had?person=alice"),
    "GET /audit/questions/late": lambda api, who, _: api.get(who, "/v1/audit/questions/late?over_ms=5"),
    "GET /audit/questions/who-could-approve": lambda api, who, _: api.get(
        who, f"/v1/audit/questions/who-could-approve?entitlement=orders-db-read&on={MOMENT}"
    ),
    "GET /audit/questions/reconstruct/{id}": lambda api, who, scene: api.get(
        who, f"/v1/audit/questions/reconstruct/{scene.pending}?at={MOMENT}"
    ),
    "GET /audit/questions/done/{id}": lambda api, who, scene: api.get(who, f"/v1/audit/questions/done/{scene.drawn}"),
    "GET /audit/questions/break-glass": lambda api, who, _: api.get(who, "/v1/audit/questions/break-glass"),
    "GET /audit/findings": lambda api, who, _: api.get(who, "/v1/audit/findings"),
    "GET /events": lambda api, who, _: api.get(who, "/v1/events"),
    "GET /findings": lambda api, who, _: api.get(who, "/v1/findings"),
    "POST /findings/{id}/acknowledge": lambda api, who, _: api.post(
        who, f"/v1/findings/{FINDING.id}/acknowledge", json={"comment": "I looked"}
    ),
    "GET /retention/erasures": lambda api, who, _: api.get(who, "/v1/retention/erasures"),
    "POST /retention/erasures": lambda api, who, _: api.post(
        who, "/v1/retention/erasures", json={"before": "2010-01-01T00:00:00.000Z", "reason": "over"}
    ),
    "POST /retention/erasures/{id}/approve": lambda api, who, _: api.post(
        who, "/v1/retention/erasures/ers_aaaaaaaaaaaaaaaa/approve"
    ),
    "GET /followers": lambda api, who, _: api.get(who, "/v1/followers"),
    "GET /witnesses": lambda api, who, _: api.get(who, "/v1/witnesses"),
    "GET /log/checkpoint": lambda api, who, _: api.get(who, "/v1/log/checkpoint"),
    "GET /log/keys": lambda api, who, _: api.get(who, "/v1/log/keys"),
    "POST /stop": lambda api, who, _: api.post(who, "/v1/stop", json={"scope": "all", "reason": "fire"}),
    "POST /lock": lambda api, who, _: api.post(who, "/v1/lock", json=LOCK),
    "GET /stops": lambda api, who, _: api.get(who, "/v1/stops"),
    "POST /stops/{id}/lift": lambda api, who, scene: api.post(who, f"/v1/stops/{scene.stop}/lift"),
    "POST /persons/{id}/disable": lambda api, who, _: api.post(
        who, "/v1/persons/dave/disable", json={"reason": "left"}
    ),
    "GET /me": lambda api, who, _: api.get(who, "/v1/me"),
    "POST /me/token": lambda api, who, _: api.post(who, "/v1/me/token"),
    "GET /sessions": lambda api, who, _: api.get(who, "/v1/sessions"),
    "POST /sessions/{id}/revoke": lambda api, who, _: api.post(who, "/v1/sessions/ses_aaaaaaaaaaaaaaaa/revoke"),
}


def verdict(answer: httpx2.Response) -> str:
    return OK if answer.is_success else str(answer.json()["code"])


@pytest.mark.parametrize(("call", "who", "expected"), CELLS, ids=[f"{call} by {who}" for call, who, _ in CELLS])
def test_the_table_of_who_may_call_what_holds_in_every_cell(
    scene: Scene, api: Api, call: str, who: str, expected: str
) -> None:
    with api.world.store.read() as tx:
        before = tx.head().size
    answer = CALLS[call](api, who, scene)
    assert verdict(answer) == expected
    with api.world.store.read() as tx:
        recorded = [row["type"] for row in tx.facts(after=before - 1)]
    if expected == OK:
        assert "act.refused" not in recorded
        told = call.startswith(("POST", *ASKED)) and call not in UNRECORDED
        if not told and who == "erin" and call.startswith("GET") and call not in OF_EVERYBODY:
            assert recorded == ["audit.read"]
        elif call == "GET /requests/{id}" and who in {"bob", "carol"}:
            assert recorded == ["request.seen"]
        else:
            assert bool(recorded) == told
    else:
        assert set(recorded) <= {"act.refused"}
        assert answer.status_code in {403, 404}


@pytest.mark.parametrize("call", CALLS)
def test_without_a_token_in_force_no_call_is_answered(
    scene: Scene, standing: Api, without_dave: Api, call: str
) -> None:
    assert CALLS[call](standing, None, scene).json()["code"] == "unauthenticated"
    made_up = replace(standing, tokens=standing.tokens | {"dave": "cst_" + "a" * 52})
    assert CALLS[call](made_up, "dave", scene).json()["code"] == "unauthenticated"
    answer = CALLS[call](without_dave, "dave", scene)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_table_names_every_call_that_there_is(standing: Api) -> None:
    served = {
        f"{method.upper()} {path.removeprefix('/v1')}"
        for path, calls in standing.app.openapi()["paths"].items()
        for method in calls
        if path.startswith("/v1")
    } - OF_ANYONE
    named = {"".join("{id}" if part.startswith("{") else part for part in _parts(call)) for call in served}
    assert named == {call.partition("?")[0] for call in CALLS}
    assert set(CALLS) == {row[0] for row in ROWS[1:]}
    assert set(CALLERS) <= set(PRINCIPALS)


def _parts(call: str) -> list[str]:
    return call.replace("{", "\0{").replace("}", "}\0").split("\0")
