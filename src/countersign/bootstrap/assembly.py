"""Puts both halves together in one process, over a store, providers and what follows the log."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from countersign.auditlog.signer import LogSigner
from countersign.bootstrap.issuing_half import assemble_issuing, issuing_beats
from countersign.bootstrap.people_half import assemble_people, people_beats
from countersign.domain.configured import Configured
from countersign.domain.log_facts import CheckpointClock
from countersign.providers.base import Provider
from countersign.providers.records import RecordSource
from countersign.scheduler import Beat, Metronome
from countersign.service.archiving import Archive
from countersign.service.broker import Broker
from countersign.service.checkpoints import Checkpoints
from countersign.service.draws import DrawsHere
from countersign.service.evidence import Evidence
from countersign.service.followers import Follower, Followers
from countersign.service.identities import Identities
from countersign.service.issuing import Issuing
from countersign.service.memory import LogMemory
from countersign.service.office import Office
from countersign.service.publication import Publication
from countersign.service.rules import RuleReader
from countersign.store import Store

FOLLOW_EVERY = timedelta(milliseconds=250)


@dataclass(frozen=True, kw_only=True)
class Running:
    """Both halves, put together, and what keeps them going."""

    broker: Broker
    issuing: Issuing
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
    publication = Publication(office=office, evidence=Evidence(office=office, key=signer.verifier()), public=log_public)
    issuing = assemble_issuing(
        office=office,
        providers=providers,
        sources=sources,
        checkpoints=Checkpoints(office=office, signer=signer, clock=clock),
        publication=publication,
        memory=LogMemory(path=memory),
        archive=archive,
        followers=followers,
    )
    broker = assemble_people(
        office=office,
        draws=DrawsHere(issuer=issuing.issuer),
        previews={name: provider.preview for name, provider in providers.items()},
        sources=sources,
        publication=publication,
        followers=issuing.followers,
        troubles=issuing.cosigning.troubles,
        tokens_allowed=tokens_allowed,
        identities=identities or Identities(public_url="http://localhost"),
    )
    beats = [*issuing_beats(issuing, sweep_every=sweep_every), *people_beats(broker), follow_beat(issuing.followers)]
    return Running(broker=broker, issuing=issuing, metronome=Metronome(beats=beats, nudged=nudged))


def follow_beat(followers: Followers) -> Beat:
    """Return the beat by which followers follow."""
    return Beat(name="followers", interval=FOLLOW_EVERY, job=followers.follow)
