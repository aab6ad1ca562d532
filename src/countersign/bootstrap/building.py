"""Builds what a process is to be from its settings: both halves, or one of them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from countersign import __version__
from countersign.bootstrap.assembly import Running, assemble, follow_beat
from countersign.bootstrap.beginning import configured_of, demand_nothing_stands
from countersign.bootstrap.followed_apart import FollowedApart
from countersign.bootstrap.founding import found_rules, open_founded_store, open_store
from countersign.bootstrap.issuing_half import assemble_desk, assemble_issuing, desk_beats, issuing_beats
from countersign.bootstrap.logkey import demand_log_key, log_signer
from countersign.bootstrap.outlets import make_archive, make_outlets, state_clock
from countersign.bootstrap.people_half import assemble_people, people_beats
from countersign.bootstrap.providers import make_providers
from countersign.bootstrap.pulse import Pulse
from countersign.bootstrap.record_sources import make_sources
from countersign.config.halves import Half
from countersign.config.logkeys import log_verifier
from countersign.config.problems import ConfigError, Problem
from countersign.config.settings import Settings
from countersign.domain.broker_facts import BrokerStarted
from countersign.domain.configured import Configured
from countersign.domain.facts import BROKER
from countersign.providers.previews import make_previews
from countersign.scheduler import Beat, Metronome
from countersign.service.broker import Broker
from countersign.service.checkpoints import Checkpoints
from countersign.service.detecting import Detecting
from countersign.service.evidence import Evidence
from countersign.service.followers import Followers
from countersign.service.identities import Identities
from countersign.service.issuing import Issuing
from countersign.service.memory import LogMemory
from countersign.service.office import Office
from countersign.service.ordering import DrawsApart
from countersign.service.publication import Publication
from countersign.service.rules import RuleReader
from countersign.service.trusting import record_mismatches
from countersign.store import Store

FOUNDED_WITHIN_S = 30.0
PULSE_EVERY = timedelta(seconds=1)
MEMORY = "log-memory.json"


@dataclass(frozen=True, kw_only=True)
class PeopleAlone:
    """The half that faces people, put together, and what keeps it going."""

    broker: Broker
    metronome: Metronome


@dataclass(frozen=True, kw_only=True)
class IssuingAlone:
    """The half that faces providers, put together, and what keeps it going."""

    issuing: Issuing
    metronome: Metronome


def build(settings: Settings) -> Running:
    """Return a broker of both halves, recorded as started and ready to be swept."""
    store = open_store(settings)
    demand_log_key(store, settings)
    providers = make_providers(settings, store)
    demand_nothing_stands(store, settings, providers)
    found_rules(store, settings)
    running = assemble(
        store=store,
        providers=providers,
        sources=make_sources(settings),
        signer=log_signer(settings),
        configured=configured_of(settings),
        tokens_allowed=settings.allow_tokens,
        log_public=settings.log_public,
        sweep_every=timedelta(seconds=settings.sweep_interval_s),
        followers=[*make_outlets(store, settings), Detecting(store=store)],
        archive=None if settings.archive is None else make_archive(settings.archive),
        clock=lambda: state_clock(store),
        identities=_identities(settings),
        genesis=settings.genesis,
        memory=settings.state_dir / MEMORY,
    )
    _record_start(running.broker.office, settings)
    running.issuing.sweeper.start()
    running.issuing.followers.start()
    return running


def build_people(settings: Settings) -> PeopleAlone:
    """Return the half that faces people, recorded as started.

    Raises:
        ConfigError: it could sign the log, or the issuing half has not set the database up.
    """
    if settings.log_key_path.exists():
        problem = Problem(
            where=f"log_key_path {settings.log_key_path}",
            expected="no key: the half that faces people does not sign the log",
            got="one",
        )
        raise ConfigError([problem])
    store = open_founded_store(settings, within_s=FOUNDED_WITHIN_S)
    office = _office(store, settings, nudged=threading.Event(), configured=Configured(log_origin=settings.log_origin))
    key = None if settings.log_vkey is None else log_verifier(settings.log_vkey)
    followers = Followers(office=office, followers=make_outlets(store, settings), me=secrets.token_hex(16))
    broker = assemble_people(
        office=office,
        draws=DrawsApart(office=office),
        previews=make_previews(aws_region=settings.aws_region),
        sources=FollowedApart(store),
        publication=Publication(office=office, evidence=Evidence(office=office, key=key), public=settings.log_public),
        followers=followers,
        troubles={},
        tokens_allowed=settings.allow_tokens,
        identities=_identities(settings),
    )
    _record_start(office, settings)
    return PeopleAlone(broker=broker, metronome=Metronome(beats=[*people_beats(broker), follow_beat(followers)]))


def build_issuing(settings: Settings) -> IssuingAlone:
    """Return the half that faces providers, recorded as started and ready to sweep; it brings schema and first rules."""
    store = open_store(settings)
    demand_log_key(store, settings)
    providers = make_providers(settings, store)
    demand_nothing_stands(store, settings, providers)
    found_rules(store, settings)
    nudged, signer = threading.Event(), log_signer(settings)
    office = _office(store, settings, nudged=nudged, configured=configured_of(settings))
    issuing = assemble_issuing(
        office=office,
        providers=providers,
        sources=make_sources(settings),
        checkpoints=Checkpoints(office=office, signer=signer, clock=lambda: state_clock(store)),
        publication=Publication(office=office, evidence=Evidence(office=office, key=signer.verifier()), public=False),
        memory=LogMemory(path=settings.state_dir / MEMORY),
        archive=None if settings.archive is None else make_archive(settings.archive),
        followers=[Detecting(store=store)],
    )
    _record_start(office, settings)
    issuing.sweeper.start()
    sweeps = timedelta(seconds=settings.sweep_interval_s)
    issuing.issuer.memory.wake(store)
    desk = assemble_desk(issuing, identities=Identities(public_url=""))
    pulse = Pulse(store=store, folder=settings.state_dir, name=secrets.token_hex(16))
    beats = [
        *issuing_beats(issuing, sweep_every=sweeps),
        follow_beat(issuing.followers),
        *desk_beats(desk),
        Beat(name="pulse", interval=PULSE_EVERY, job=pulse.beat),
    ]
    metronome = Metronome(beats=beats, nudged=nudged)
    pulse.sweep_age_s = lambda: metronome.age("sweep")
    return IssuingAlone(issuing=issuing, metronome=metronome)


def _office(store: Store, settings: Settings, *, nudged: threading.Event, configured: Configured) -> Office:
    return Office(
        store=store,
        rules=RuleReader(genesis=settings.genesis),
        randomness=secrets.token_bytes,
        nudge=nudged.set,
        configured=configured,
    )


def _identities(settings: Settings) -> Identities:
    return Identities(
        public_url=settings.public_url,
        client_secrets=_given({name: access.client_secret for name, access in settings.issuers.items()}),
        commits_tokens=_given({name: access.commits_token for name, access in settings.issuers.items()}),
    )


def _given(secrets: Mapping[str, SecretStr | None]) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items() if secret is not None}


def _record_start(office: Office, settings: Settings) -> None:
    what = "broker" if settings.half is Half.BOTH else settings.half.value
    with office.store.begin() as tx:
        tx.record(
            BrokerStarted(actor=f"{BROKER}/start", subject=what, version=__version__, configuration=settings.digest())
        )
        record_mismatches(office, tx)
