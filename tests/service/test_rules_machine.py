"""Histories of everything people and the world can do, with the invariants checked after every step.

`COUNTERSIGN_HYPOTHESIS=nightly` tries 2,000 histories of up to 100 steps.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.quick import histories, quick_world
from tests.service.invariants import Broken, check
from tests.service.oracle import Inline, WatchedProvider
from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.domain.emergency import Emergency, Verdict
from countersign.domain.lease import Cause, LeaseState
from countersign.domain.refusals import Refused
from countersign.domain.review import Decision
from countersign.providers.fake import Crash, Fault

pytestmark = pytest.mark.slow

TOGGLED = (
    ("engineers", "alice"),
    ("engineers", "dave"),
    ("engineers", "bob"),
    ("engineers", "frank"),
    ("orders-owners", "alice"),
    ("orders-owners", "bob"),
    ("orders-owners", "carol"),
    ("security", "bob"),
    ("security", "carol"),
    ("security", "dave"),
)
EVERYBODY = ("alice", "alice-laptop", "bob", "bob-bot", "carol", "dave", "frank", "olga", "oscar", "erin", "nina")
ASKING = ("alice", "alice-laptop", "dave", "bob", "frank")
SIGNING = ("bob", "bob-bot", "carol", "alice", "alice-laptop", "dave", "frank", "olga")
CAPS = {"open_per_person": 3, "pending_per_person": 6, "seconds_per_person_day": 7200}
TWO = [{"group": "orders-owners", "count": 1}, {"group": "security", "count": 1}]
ITEMS = [
    entitlement("orders-db-read", caps=CAPS),
    entitlement("orders-db-thrice", draws=3, caps=CAPS),
    entitlement("orders-db-write", review=TWO, caps=CAPS, parameters={"table": {"values": ["orders", "items"]}}),
    entitlement("orders-db-pair", review=[{"group": "orders-owners", "count": 2}], caps=CAPS, target="other-db"),
    entitlement("orders-db-wrapped", delivery="wrapped", caps=CAPS, target="other-db"),
    entitlement(
        "orders-db-root",
        review=TWO,
        caps=CAPS,
        requesters=["engineers", "night-shift"],
        break_glass={
            "review": [{"group": "orders-owners", "count": 1}],
            "max_duration_s": 600,
            "after_review_s": 3600,
            "per_incident": 2,
        },
    ),
]
ROOT = "orders-db-root"
people = st.sampled_from(EVERYBODY)
incidents = st.sampled_from(["INC-1", "INC-2"])
which = st.integers(0, 7)
words = st.tuples(
    st.sampled_from(SIGNING),
    st.sampled_from([Decision.APPROVE] * 5 + [Decision.DENY]),
    st.sampled_from([True] * 6 + [False]),
)
"""Who signs, what, and whether under the digest that was shown."""
seldom = st.sampled_from([False] * 4 + [True])
"""Whether to do what leaves little to be done after it."""
faults = st.sampled_from([None, None, None, *Fault])


def opening_directory() -> dict[str, Any]:
    """Return the directory at the beginning: dave, who asks, may also sign."""
    directory = copy.deepcopy(DIRECTORY)
    directory["principal"] += [{"id": "alice-ci", "person": "alice", "human": False}]
    directory["group"] += [{"id": "night-shift", "members": ["dave", "nina"], "roles": ["requester", "on-call"]}]
    directory["person"] += [{"id": "nina", "name": "Nina"}]
    toggle(directory, "orders-owners", "dave")
    return directory


def toggle(directory: dict[str, Any], group: str, person: str) -> None:
    """Make somebody a member of a group, or no longer one."""
    [found] = [g for g in directory["group"] if g["id"] == group]
    found["members"] = sorted(set(found["members"]) ^ {person})


class Histories(RuleBasedStateMachine):
    """One broker, its people, its provider, and a clock."""

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        catalog = {**CATALOG, "entitlement": copy.deepcopy(ITEMS)}
        self.world: World = self._open.enter_context(quick_world(catalog=catalog, directory=opening_directory()))
        self.provider = WatchedProvider(clock=self._target_clock, world=self.world)
        self.world.provider = self.provider
        self.latest: datetime = self.world.clock()
        self.requests: list[str] = []
        self.grants: list[str] = []
        self.stops: list[str] = []
        self.envelopes: list[str] = []
        self.served: dict[str, list[str]] = {}
        self.restart()

    def teardown(self) -> None:
        self._open.close()

    def _target_clock(self) -> datetime:
        """Return the target's own time, which nobody sets back."""
        self.latest = max(self.latest, self.world.clock())
        return self.latest

    @contextmanager
    def _try(self) -> Iterator[None]:
        """Let somebody try something; to be refused is an answer."""
        try:
            yield
        except Refused:
            pass
        except Crash:
            self.restart()
        finally:
            self.provider.faults.clear()
            with self.world.store.read() as tx:
                self.grants = sorted(grant.id for grant in tx.grants(limit=1000))

    @initialize()
    def begin_with_an_open_grant(self) -> None:
        self.ask("alice", 0, 600)
        self.review("bob", 0, Decision.APPROVE, right=True)

    # --- people ---------------------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(ASKING), what=which, seconds=st.sampled_from([10, 600, 3600]))
    def ask(self, who: str, what: int, seconds: int) -> None:
        item = self.world.catalog["entitlement"][what % len(ITEMS)]
        with self._try():
            parameters = {"table": "orders"} if "parameters" in item else {}
            request = self.world.ask(who, item["id"], seconds=seconds, parameters=parameters)
            self._asked(request.id, item["id"])

    def _asked(self, request_id: str, what: str) -> None:
        """Remember a request, and the entitlement as its file has it now."""
        [item] = [each for each in self.world.catalog["entitlement"] if each["id"] == what]
        self.requests.append(request_id)
        self.provider.pinned[request_id] = copy.deepcopy(item)

    @precondition(lambda self: self.requests)
    @rule(word=words, which=which)
    def review_something(self, word: tuple[str, Decision, bool], which: int) -> None:
        self.review(word[0], which, word[1], right=word[2])

    def review(self, who: str, which: int, decision: Decision, *, right: bool) -> None:
        request_id = self.requests[-1 - which % len(self.requests)]
        with self.world.store.read() as tx:
            digest = tx.stored_digest(request_id) if right else "0" * 64
        with self._try():
            self.world.broker.requests.review(
                self.world.principal(who), request_id, decision=decision, digest=str(digest)
            )

    @rule(who=st.sampled_from(ASKING), what=which, signing=st.lists(words, max_size=4))
    def ask_sign_and_draw(self, who: str, what: int, signing: list[tuple[str, Decision, bool]]) -> None:
        asked = len(self.requests)
        self.ask(who, what, 600)
        if len(self.requests) == asked:
            return
        for signer, decision, right in signing:
            self.review(signer, 0, decision, right=right)
        with self.world.store.read() as tx:
            grant = tx.grant_of_request(self.requests[-1])
        if grant is not None:
            self._draw(who, grant.id)

    # --- emergencies ----------------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from([*ASKING, "nina"]), incident=incidents, signing=st.lists(words, max_size=2))
    def ask_in_an_emergency_and_draw(self, who: str, incident: str, signing: list[tuple[str, Decision, bool]]) -> None:
        asked = len(self.requests)
        with self._try():
            request = self.world.ask(who, ROOT, seconds=300, emergency=Emergency(incident=incident))
            self._asked(request.id, ROOT)
        if len(self.requests) == asked:
            return
        for signer, decision, right in signing:
            self.review(signer, 0, decision, right=right)
        with self.world.store.read() as tx:
            grant = tx.grant_of_request(self.requests[-1])
        if grant is not None:
            self._draw(who, grant.id)

    @rule(who=st.sampled_from(SIGNING), signing=st.lists(st.sampled_from(SIGNING), max_size=3), uses=st.integers(1, 2))
    def write_and_sign_an_envelope(self, who: str, signing: list[str], uses: int) -> None:
        envelopes = self.world.broker.envelopes
        with self._try():
            view = envelopes.propose(
                self.world.principal(who),
                entitlement_id=ROOT,
                not_before=None,
                valid_s=86400,
                uses=uses,
                max_duration_s=300,
            )
            self.envelopes.append(view.envelope.id)
            for signer in signing:
                with self._try():
                    envelopes.sign(self.world.principal(signer), view.envelope.id, digest=view.envelope.digest)

    @precondition(lambda self: self.envelopes)
    @rule(who=st.sampled_from(["nina", "dave", "carol", "alice"]), which=which, incident=incidents)
    def open_an_envelope_and_draw(self, who: str, which: int, incident: str) -> None:
        with self._try():
            request = self.world.broker.envelopes.open(
                self.world.principal(who),
                self.envelopes[-1 - which % len(self.envelopes)],
                incident=incident,
                drill=False,
                duration_s=300,
                parameters={},
                reason="nobody answers",
            )
            self._asked(request.id, ROOT)
            with self.world.store.read() as tx:
                grant = tx.grant_of_request(request.id)
            if grant is not None:
                self._draw(who, grant.id)

    @precondition(lambda self: self.envelopes)
    @rule(who=people, which=which, seldom=seldom)
    def revoke_an_envelope(self, who: str, which: int, *, seldom: bool) -> None:
        if not seldom:
            return
        with self._try():
            self.world.broker.envelopes.revoke(
                self.world.principal(who), self.envelopes[-1 - which % len(self.envelopes)]
            )

    @precondition(lambda self: self.grants)
    @rule(who=people, which=which)
    def say_afterwards(self, who: str, which: int) -> None:
        grant_id = self.grants[-1 - which % len(self.grants)]
        with self._try():
            said = self.world.broker.afterwards.review(
                self.world.principal(who), grant_id, verdict=Verdict.JUSTIFIED, comment="I looked"
            )
            person = self.world.principal(who).person
            if person in {said.person, *said.granters}:
                raise Broken(f"{who} said of his own emergency that it was right")

    # --- what follows ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.requests)
    @rule(who=people, which=which)
    def withdraw(self, who: str, which: int) -> None:
        with self._try():
            request_id = self.requests[-1 - which % len(self.requests)]
            self.world.broker.requests.withdraw(self.world.principal(who), request_id)

    @precondition(lambda self: self.grants)
    @rule(which=which, reserve=faults, issue=faults, fetched=st.sampled_from([None, True, False]))
    def draw_as_its_owner(
        self, which: int, reserve: Fault | None, issue: Fault | None, *, fetched: bool | None
    ) -> None:
        grant_id = self.grants[-1 - which % len(self.grants)]
        with self.world.store.read() as tx:
            grant = tx.grant(grant_id)
        assert grant is not None
        self.provider.picked_up = fetched
        self.provider.faults |= {call: fault for call, fault in (("reserve", reserve), ("issue", issue)) if fault}
        self._draw(grant.person, grant_id)

    @precondition(lambda self: self.grants)
    @rule(who=people, which=which)
    def draw_as_anybody(self, who: str, which: int) -> None:
        self._draw(who, self.grants[-1 - which % len(self.grants)])

    def _draw(self, who: str, grant_id: str) -> None:
        with self._try():
            lease = self.world.draw(grant_id, who).lease
            if self.world.principal(who).person != lease.person:
                raise Broken(f"{who} was handed the credential of {lease.person}")
            self.served.setdefault(grant_id, []).append(lease.id)

    @precondition(lambda self: self.served)
    @rule(which=which)
    def lose_the_answer_to_a_draw(self, which: int) -> None:
        grant_id = sorted(self.served)[which % len(self.served)]
        with self._try():
            self.world.issuing.issuer.undelivered(self.served[grant_id][-1])

    @precondition(lambda self: self.grants)
    @rule(who=people, which=which)
    def give_back(self, who: str, which: int) -> None:
        with self._try():
            self.world.broker.control.give_back(self.world.principal(who), self.grants[-1 - which % len(self.grants)])

    @precondition(lambda self: self.grants)
    @rule(who=people, which=which)
    def revoke(self, who: str, which: int) -> None:
        with self._try():
            grant_id = self.grants[-1 - which % len(self.grants)]
            self.world.broker.control.revoke(self.world.principal(who), grant_id, reason="it looks wrong")

    @rule(
        who=st.sampled_from(["olga", "oscar", "carol", "alice"]),
        seldom=seldom,
        scope=st.sampled_from([("all", None), ("person", "alice"), ("entitlement", "orders-db-thrice")]),
    )
    def stop(self, who: str, scope: tuple[str, str | None], *, seldom: bool) -> None:
        if not seldom:
            return
        with self._try():
            ended = self.world.broker.control.stop(
                self.world.principal(who), scope=scope[0], target=scope[1], reason="it looks wrong"
            )
            assert ended.stop is not None
            self.stops.append(ended.stop.id)

    @precondition(lambda self: self.stops)
    @rule(who=st.sampled_from(["olga", "oscar", "carol", "alice"]), which=which)
    def lift(self, who: str, which: int) -> None:
        with self._try():
            lifted = self.world.broker.control.lift(self.world.principal(who), self.stops[which % len(self.stops)])
            if lifted.placed_by == self.world.principal(who).person:
                raise Broken(f"{who} lifted a stop of his own")

    @rule(who=st.sampled_from(["olga", "bob"]), whom=st.sampled_from(["alice", "dave", "bob", "carol"]), seldom=seldom)
    def disable(self, who: str, whom: str, *, seldom: bool) -> None:
        if not seldom:
            return
        with self._try():
            self.world.broker.control.disable(self.world.principal(who), whom, reason="left")

    # --- the rules ------------------------------------------------------------------------------------------------------

    @rule(pair=st.sampled_from(TOGGLED))
    def change_a_group(self, pair: tuple[str, str]) -> None:
        directory = copy.deepcopy(self.world.directory)
        toggle(directory, *pair)
        self._adopt(directory=directory)

    @rule(group=st.sampled_from(["orders-owners", "security"]))
    def change_what_a_group_may_do(self, group: str) -> None:
        directory = copy.deepcopy(self.world.directory)
        [found] = [g for g in directory["group"] if g["id"] == group]
        found["roles"] = sorted(set(found["roles"]) ^ {"approver"})
        self._adopt(directory=directory)

    @rule(
        what=which,
        change=st.sampled_from(
            [{"max_duration_s": 3600}, {"max_duration_s": 4000}, {"review": TWO}, {"grants": {"role": "orders-rw"}}]
        ),
    )
    def change_an_entitlement(self, what: int, change: dict[str, Any]) -> None:
        catalog = copy.deepcopy(self.world.catalog)
        item = catalog["entitlement"][what % len(ITEMS)]
        item |= change
        if self._adopt(catalog=catalog):
            self.provider.authors[item["id"]] = {"frank", "grace"}

    def _adopt(self, **rules: dict[str, Any]) -> bool:
        before = self.world.catalog, self.world.directory
        try:
            self.world.adopt(**rules)
        except Refused:
            self.world.catalog, self.world.directory = before
            return False
        return True

    # --- the world ------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 9, 30, 299, 600, 3601, 86400, -1, -60]))
    def step_the_clock(self, seconds: int) -> None:
        self.world.clock.forward(seconds=seconds)

    @rule(
        end=st.sampled_from([None, Fault.AWAY, Fault.LIES, Fault.ANSWER_LOST, Fault.DECLINED, Fault.CRASH]),
        look=st.sampled_from([None, None, Fault.AWAY]),
    )
    def sweep(self, end: Fault | None, look: Fault | None) -> None:
        self.provider.faults |= {call: fault for call, fault in (("end", end), ("look", look)) if fault}
        with self._try():
            self.world.sweep()

    @rule()
    def sweep_in_calm_weather(self) -> None:
        """After the longest claim and patience, one sweep without faults leaves nothing alive that should be dead."""
        self.world.clock.forward(seconds=46)
        self.provider.picked_up = True
        with self._try():
            self.world.sweep()
        with self.world.store.read() as tx:
            now, leases = tx.now, tx.leases()
        for lease in leases:
            if lease.state is LeaseState.REVOKING or (lease.state is not LeaseState.REVOKED and lease.not_after <= now):
                raise Broken(f"{lease.id} is {lease.state} after a calm sweep")
            if lease.not_after <= now and self.provider.works(lease.id):
                raise Broken(f"{lease.id} works past its end after a calm sweep")

    @rule()
    def reconcile(self) -> None:
        with self._try():
            self.world.issuing.reconciler.reconcile()

    @rule()
    def restart(self) -> None:
        self.world.restart()
        for hands in (self.world.issuing.sweeper.hands, self.world.issuing.sweeper.lanes):
            hands.shutdown()
        self.world.issuing.sweeper.hands = self.world.issuing.sweeper.lanes = Inline(1)

    # --- what always holds ----------------------------------------------------------------------------------------------

    @invariant()
    def every_invariant_holds(self) -> None:
        if self.provider.complaints:
            raise Broken("; ".join(self.provider.complaints))
        check(self.world)
        with self.world.store.read() as tx:
            for grant_id, served in self.served.items():
                grant = tx.grant(grant_id)
                assert grant is not None
                kept = [
                    lease
                    for lease_id in served
                    if (lease := tx.lease(lease_id)) and lease.cause is not Cause.UNDELIVERED
                ]
                if len(kept) > grant.draws:
                    raise Broken(f"{grant_id} allows {grant.draws} draws and served {len(kept)}")
                if len({lease.not_after for lease in kept}) > 1:
                    raise Broken(f"{grant_id} ends at more than one time")
                if any(lease.not_after - lease.prepared_at > timedelta(seconds=3600) for lease in kept):
                    raise Broken(f"{grant_id} outlives every duration that there is")


Histories.TestCase.settings = histories(ci=25, nightly=2000)
TestHistories = Histories.TestCase
