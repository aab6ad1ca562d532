"""Puts every use case together in plain lines, over a store, providers and what follows the log."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from countersign.auditlog.signer import LogSigner
from countersign.domain.configured import Configured
from countersign.domain.log_facts import CheckpointClock
from countersign.providers.base import Provider, StopsTargets
from countersign.providers.records import RecordSource
from countersign.providers.witness import WitnessWire
from countersign.scheduler import Beat, Metronome
from countersign.service.afterwards import Afterwards
from countersign.service.archiving import Archive, Archiving
from countersign.service.broker import Broker
from countersign.service.campaigns import Campaigns
from countersign.service.ceremonies import Ceremonies
from countersign.service.control import Control
from countersign.service.cosigning import Cosigning
from countersign.service.done import Doings
from countersign.service.envelopes import Envelopes
from countersign.service.events import Events
from countersign.service.evidence import Evidence
from countersign.service.explaining import Explanations
from countersign.service.findings import Findings
from countersign.service.followers import Follower, Followers
from countersign.service.identities import Identities
from countersign.service.idling import Idling, why_use_is_unknown
from countersign.service.inquiries import Inquiries
from countersign.service.issuer import Issuer
from countersign.service.leaving import Leaving
from countersign.service.memory import LogMemory
from countersign.service.office import Office
from countersign.service.packs import Packs
from countersign.service.passkeys import Passkeys
from countersign.service.pipelines import Pipelines
from countersign.service.publication import Publication
from countersign.service.questions import Questions
from countersign.service.reads import Reads
from countersign.service.reconciler import Reconciler
from countersign.service.records import Records
from countersign.service.requests import Requests
from countersign.service.rulemaking import Rulemaking
from countersign.service.rules import RuleReader
from countersign.service.selfcheck import EVERY as CHECK_EVERY
from countersign.service.selfcheck import SelfCheck
from countersign.service.sessions import Sessions
from countersign.service.signing_in import SignIn
from countersign.service.stopping import TargetStops
from countersign.service.submission import Submissions
from countersign.service.sweeper import Sweeper
from countersign.service.tokens import Gate
from countersign.store import Store

RECONCILE_EVERY = timedelta(seconds=60)
RECORDS_EVERY = timedelta(seconds=1)
IDLE_EVERY = timedelta(seconds=2)
CAMPAIGNS_EVERY = timedelta(seconds=10)
CHECKPOINT_EVERY = timedelta(seconds=1)
FOLLOW_EVERY = timedelta(milliseconds=250)
LANES, HANDS = 128, 512
"""Threads are made when they are needed: so many that targets which hang do not use them up."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A broker that is put together, and what keeps it going."""

    broker: Broker
    metronome: Metronome

    def sweep_age_s(self) -> float:
        """Return the seconds since the last completed sweep; readiness rests on it."""
        return self.metronome.age("sweep")


def assemble(
    *,
    store: Store,
    providers: Mapping[str, Provider],
    sources: Sequence[RecordSource] = (),
    signer: LogSigner,
    tokens_allowed: bool,
    log_public: bool = False,
    sweep_every: timedelta,
    followers: Sequence[Follower] = (),
    genesis: str | None = None,
    memory: Path | None = None,
    archive: Archive | None = None,
    clock: Callable[[], CheckpointClock] | None = None,
    randomness: Callable[[int], bytes] = secrets.token_bytes,
    identities: Identities | None = None,
    configured: Configured | None = None,
) -> Running:
    """Build every use case over a store, providers and what follows the log; nothing runs until the metronome is started."""
    nudged = threading.Event()
    office = Office(
        store=store,
        rules=RuleReader(genesis=genesis),
        randomness=randomness,
        nudge=nudged.set,
        configured=configured or Configured(),
    )
    evidence = Evidence(office=office, signer=signer, clock=clock)
    previews = {name: provider.preview for name, provider in providers.items()}
    submissions = Submissions(office=office, previews=previews)
    identities = identities or Identities(public_url="http://localhost")
    sessions, control = Sessions(office=office), Control(office=office)
    records = Records(office=office, sources=sources)
    publication = Publication(office=office, evidence=evidence, public=log_public)
    copies = [] if archive is None else [Archiving(office=office, publication=publication, archive=archive)]
    cosigning = Cosigning(office=office, publication=publication, submit=WitnessWire().submit)
    requests, passkeys = Requests(office=office, submissions=submissions), Passkeys(office=office)
    stoppers = {name: provider for name, provider in providers.items() if isinstance(provider, StopsTargets)}
    stops = [TargetStops(store=store, rules=RuleReader(), providers=stoppers)] if stoppers else []
    rulemaking = Rulemaking(office=office, objection=lambda item: why_use_is_unknown(item, sources))
    envelopes = Envelopes(office=office, submissions=submissions)
    broker = Broker(
        office=office,
        gate=Gate(office=office, tokens_allowed=tokens_allowed),
        sign_in=SignIn(office=office, identities=identities, sessions=sessions),
        sessions=sessions,
        leaving=Leaving(office=office, identities=identities, sessions=sessions, control=control),
        pipelines=Pipelines(office=office, identities=identities, sessions=sessions),
        requests=requests,
        questions=Questions(office=office, submissions=submissions),
        explanations=Explanations(office=office),
        inquiries=Inquiries(office=office),
        control=control,
        rulemaking=rulemaking,
        envelopes=envelopes,
        afterwards=Afterwards(office=office),
        passkeys=passkeys,
        ceremonies=Ceremonies(
            office=office, requests=requests, passkeys=passkeys, rulemaking=rulemaking, envelopes=envelopes
        ),
        issuer=Issuer(office=office, providers=providers, cosigning=cosigning, memory=LogMemory(path=memory)),
        sweeper=Sweeper(
            office=office,
            providers=providers,
            lanes=ThreadPoolExecutor(LANES, thread_name_prefix="countersign-lane"),
            hands=ThreadPoolExecutor(HANDS, thread_name_prefix="countersign-hand"),
        ),
        reconciler=Reconciler(office=office, providers=providers),
        records=records,
        idling=Idling(office=office, records=records),
        doings=Doings(office=office, submissions=submissions, records=records),
        evidence=evidence,
        publication=publication,
        cosigning=cosigning,
        followers=Followers(
            office=office, followers=[cosigning, *copies, *stops, *followers], me=secrets.token_hex(16)
        ),
        packs=Packs(office=office, publication=publication),
        campaigns=Campaigns(office=office),
        events=Events(office=office),
        findings=Findings(office=office),
        reads=Reads(office=office, questions=Questions(office=office, submissions=submissions)),
        self_check=SelfCheck(office=office),
    )
    beats = [
        Beat(name="sweep", interval=sweep_every, job=broker.sweeper.sweep, vital=True),
        Beat(name="reconcile", interval=RECONCILE_EVERY, job=broker.reconciler.reconcile),
        Beat(name="records", interval=RECORDS_EVERY, job=broker.records.follow),
        Beat(name="idle", interval=IDLE_EVERY, job=broker.idling.end_unused),
        Beat(name="campaigns", interval=CAMPAIGNS_EVERY, job=broker.campaigns.close_due),
        Beat(name="checkpoint", interval=CHECKPOINT_EVERY, job=broker.evidence.sign_checkpoint),
        Beat(name="self-check", interval=CHECK_EVERY, job=broker.self_check.check_if_due),
        Beat(name="followers", interval=FOLLOW_EVERY, job=broker.followers.follow),
    ]
    return Running(broker=broker, metronome=Metronome(beats=beats, nudged=nudged))
