"""Puts the broker together in plain lines: the one place where settings become objects and the clock is read."""

from __future__ import annotations

import fcntl
import secrets
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import IO

import structlog
from pydantic import SecretStr

from countersign import __version__
from countersign.auditlog.signer import LogSigner, create_key_file, load_key_file
from countersign.beginning import configured_of, demand_nothing_stands
from countersign.config.catalog import load_catalog
from countersign.config.crosscheck import check_together
from countersign.config.directory import load_directory
from countersign.config.logkeys import log_verifier
from countersign.config.problems import ConfigError, Problem, Severity
from countersign.config.sections import ArchiveBucket, LogTransit, WebhookAccess
from countersign.config.settings import Settings
from countersign.config.webhooksecret import read_webhook_secret
from countersign.domain.configured import Configured
from countersign.domain.entitlement import Catalog
from countersign.domain.facts import BROKER, BrokerStarted
from countersign.domain.log_facts import CheckpointClock
from countersign.domain.proposal import genesis_digest
from countersign.domain.refusals import LogUnavailable
from countersign.providers.base import Away, Provider, ProviderTrouble, StopsTargets
from countersign.providers.kernel_clock import kernel_clock
from countersign.providers.records import RecordSource
from countersign.providers.witness import WitnessWire
from countersign.record_sources import aws_principal, make_sources
from countersign.scheduler import Beat, Metronome
from countersign.service.afterwards import Afterwards
from countersign.service.archiving import Archive, Archiving
from countersign.service.broker import Broker
from countersign.service.campaigns import Campaigns
from countersign.service.ceremonies import Ceremonies
from countersign.service.control import Control
from countersign.service.cosigning import Cosigning
from countersign.service.detecting import Detecting
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
from countersign.service.notices import Notices, UnaddressedNotices
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
from countersign.service.rules import RuleReader, found
from countersign.service.selfcheck import EVERY as CHECK_EVERY
from countersign.service.selfcheck import SelfCheck
from countersign.service.sessions import Sessions
from countersign.service.signing_in import SignIn
from countersign.service.stopping import TargetStops
from countersign.service.streams.destination import Destination
from countersign.service.streams.file import LineFile
from countersign.service.streams.webhook import Receiver, Webhook
from countersign.service.submission import Submissions
from countersign.service.sweeper import Sweeper
from countersign.service.tokens import Gate
from countersign.service.trusting import record_mismatches
from countersign.store import Store

logger = structlog.get_logger(__name__)

RECONCILE_EVERY = timedelta(seconds=60)
RECORDS_EVERY = timedelta(seconds=1)
IDLE_EVERY = timedelta(seconds=2)
CAMPAIGNS_EVERY = timedelta(seconds=10)
CHECKPOINT_EVERY = timedelta(seconds=1)
FOLLOW_EVERY = timedelta(milliseconds=250)
OLDEST_SWEEP_S = 5.0
LANES, HANDS = 128, 512
"""Threads are made when they are needed: so many that targets which hang do not use them up."""


def now() -> datetime:
    """Return the wall clock's time; everything else is handed this function."""
    return datetime.now(UTC)


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


def open_store(settings: Settings) -> Store:
    """Open the database and bring its schema to this version."""
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(settings.database_url.get_secret_value(), clock=now)
    store.migrate()
    return store


def found_rules(store: Store, settings: Settings) -> None:
    """Bring the catalog and directory files into force in an empty database, once they make sense together.

    With rules in force already, files that say something else are only a proposal somebody has yet to make.

    Raises:
        ConfigError: with everything that is wrong with them, or because they are not the rules that somebody pinned.
    """
    catalog_source, catalog = load_catalog(settings.catalog_path)
    directory_source, directory = load_directory(settings.directory_path)
    problems = check_together(catalog, directory)
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    if errors := [*errors, *_unservable(catalog, make_sources(settings))]:
        raise ConfigError(errors)
    for warning in problems:
        logger.warning("catalog and directory", problem=str(warning))
    with store.read() as tx:
        current = tx.rulebook()
    if current is None:
        _demand_pin(settings, genesis_digest(catalog=catalog.digest, directory=directory.digest))
        found(store, catalog=catalog_source, directory=directory_source)
    elif (current.catalog_digest, current.directory_digest) != (catalog.digest, directory.digest):
        logger.warning("the files are not the rules in force; propose them", in_force=current.seq)


def _unservable(catalog: Catalog, sources: Sequence[RecordSource]) -> list[Problem]:
    """Name the entitlements that are to end when nobody uses them, where that could not be known."""
    reasons = ((item.id, why_use_is_unknown(item, sources)) for item in catalog.entitlements.values())
    return [
        Problem(where=f"entitlement {name}.idle_s", expected="last use that can be known", got=why)
        for name, why in reasons
        if why is not None
    ]


def _demand_pin(settings: Settings, genesis: str) -> None:
    """Demand that the first rules are those that a second person pinned in the settings (embedded stack: whatever they are)."""
    if settings.genesis != genesis and not (settings.genesis is None and settings.mode == "embedded"):
        problem = Problem(
            where="genesis",
            expected=f"{genesis}, set by someone other than who wrote the files, after reading them",
            got="nothing" if settings.genesis is None else "another digest",
        )
        raise ConfigError([problem])


def log_signer(settings: Settings) -> LogSigner:
    """Return the key that signs checkpoints: OpenBao's, or a file's, made on the first start and never again for the same log."""
    if settings.log_transit is not None:
        return _transit_signer(settings.log_transit, settings.log_origin)
    if settings.log_key_path.exists():
        return load_key_file(settings.log_key_path)
    return create_key_file(settings.log_key_path, settings.log_origin)


def _transit_signer(access: LogTransit, origin: str) -> LogSigner:
    """Return the key at OpenBao; it is not asked for anything yet, so that a start does not wait for it."""
    from countersign.providers.vault.login import AppRole, Broker  # noqa: PLC0415 - only where it is declared
    from countersign.providers.vault.transit import TransitSigner  # noqa: PLC0415 - as above
    from countersign.providers.vault.wire import Wire  # noqa: PLC0415 - as above

    pinned = log_verifier(access.vkey)
    if pinned.name != origin:
        raise ConfigError([Problem(where="log_transit.vkey", expected=f"a key named {origin}", got=pinned.name)])
    context = ssl.create_default_context(cafile=access.ca_file) if access.ca_file else None
    role = AppRole(role_id=access.role_id.get_secret_value(), secret_id=access.secret_id.get_secret_value())
    return TransitSigner(
        Broker(Wire(access.addr, context=context), role),
        mount=access.mount,
        key=access.key,
        version=access.key_version,
        pinned=pinned,
    )


def _demand_log_key(store: Store, settings: Settings) -> None:
    """Demand the key that signed what is signed already: a second key for one log would contradict the first."""
    with store.read() as tx:
        signed = tx.newest_checkpoint()
    if signed is not None and settings.log_transit is None and not settings.log_key_path.exists():
        problem = Problem(
            where="log_key_path",
            expected="the key that signed this log's checkpoints; every broker of one database has the same",
            got=f"no file at {settings.log_key_path}",
        )
        raise ConfigError([problem])


def make_providers(settings: Settings, store: Store) -> dict[str, Provider]:
    """Return the providers that the settings name. Imported here, so that a broker without AWS never loads boto3."""
    made: dict[str, Provider] = {}
    if settings.openbao is not None:
        from countersign.providers.vault import AppRole, VaultProvider  # noqa: PLC0415

        vault = VaultProvider(
            address=settings.openbao.addr,
            login=AppRole(
                role_id=settings.openbao.role_id.get_secret_value(),
                secret_id=settings.openbao.secret_id.get_secret_value(),
            ),
            target_dsns={name: target.dsn.get_secret_value() for name, target in settings.targets.items()},
            clock=now,
            wrap_ttl_s=settings.openbao.wrap_ttl_s,
            context=ssl.create_default_context(cafile=settings.openbao.ca_file) if settings.openbao.ca_file else None,
        )
        made["vault"] = vault
    if settings.aws is not None:
        from countersign.providers.aws import AwsProvider, AwsSettings  # noqa: PLC0415

        aws = AwsSettings(
            assumer=aws_principal(settings.aws.assumer),
            revoker=aws_principal(settings.aws.revoker),
            region=settings.aws.region,
            endpoint_url=settings.aws.endpoint_url,
        )
        made["aws"] = AwsProvider(aws, now=now, turn=lambda name: _turn(store, name))
    return made


def make_followers(store: Store, settings: Settings) -> list[Follower]:
    """Return what sends the log, or notices of it, to the outside that the settings name."""
    receivers = {name: _receiver(name, access) for name, access in settings.webhooks.items()}
    streams = [Webhook(receiver=receivers[name]) for name, access in settings.webhooks.items() if access.stream]
    files = [] if settings.stream_path is None else [LineFile(path=settings.stream_path)]
    rules = RuleReader()
    return [
        *streams,
        *files,
        *(Notices(store=store, rules=rules, receiver=receiver) for receiver in receivers.values()),
        UnaddressedNotices(store=store, rules=rules, known=frozenset(receivers)),
        Detecting(store=store),
    ]


def state_clock(store: Store) -> CheckpointClock:
    """Return what is known of the clock by which entries are written."""
    offset, kernel = store.clock_offset(), kernel_clock()
    return CheckpointClock(
        actor=f"{BROKER}/checkpoint",
        subject="clock",
        source="system" if offset is None else "database",
        offset_ms=None if offset is None else round(offset / timedelta(milliseconds=1)),
        synchronised=None if kernel is None else kernel.synchronised,
        error_ms=None if kernel is None else kernel.error_ms,
    )


def make_archive(access: ArchiveBucket) -> Archive:
    """Return the bucket that the log is copied to."""
    from countersign.providers.archive import open_archive  # noqa: PLC0415 - a broker without one never loads boto3

    return open_archive(
        access.bucket,
        prefix=access.prefix,
        principal=aws_principal(access),
        region=access.region,
        endpoint_url=access.endpoint_url,
    )


def _receiver(name: str, access: WebhookAccess) -> Receiver:
    return Receiver(
        name=name,
        destination=Destination(url=access.url, allow_private=access.allow_private),
        secret=read_webhook_secret(access.secret.get_secret_value()),
        clock=now,
        context=ssl.create_default_context(cafile=access.ca_file) if access.ca_file else None,
    )


def _given(secrets: Mapping[str, SecretStr | None]) -> dict[str, str]:
    return {name: secret.get_secret_value() for name, secret in secrets.items() if secret is not None}


@contextmanager
def _turn(store: Store, name: str) -> Iterator[None]:
    """Hold other brokers off something outside; that it cannot be had is the provider's trouble, and tried again."""
    try:
        with store.turn(f"aws {name}"):
            yield
    except LogUnavailable as busy:
        raise Away(f"another broker writes there, or the database is away: {busy.detail}") from busy


def _demand_fit_rights(providers: Mapping[str, Provider]) -> None:
    """Refuse to serve with a login at OpenBao that may too much or too little; with OpenBao away, serve and end what is due."""
    from countersign.providers.vault import VaultProvider  # noqa: PLC0415 - a broker without OpenBao never loads it

    for vault in (each for each in providers.values() if isinstance(each, VaultProvider)):
        try:
            unfit = vault.unfit_rights()
        except ProviderTrouble as trouble:
            logger.warning("the broker's rights at OpenBao could not be looked at", trouble=str(trouble))
            continue
        if unfit:
            expected = "the rights of the module's broker policy"
            raise ConfigError([Problem(where="openbao", expected=expected, got=each) for each in unfit])


def build(settings: Settings) -> Running:
    """Return a broker as the settings describe it, recorded as started and ready to be swept."""
    store = open_store(settings)
    _demand_log_key(store, settings)
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
        followers=make_followers(store, settings),
        archive=None if settings.archive is None else make_archive(settings.archive),
        clock=lambda: state_clock(store),
        identities=Identities(
            public_url=settings.public_url,
            client_secrets=_given({name: access.client_secret for name, access in settings.issuers.items()}),
            commits_tokens=_given({name: access.commits_token for name, access in settings.issuers.items()}),
        ),
        genesis=settings.genesis,
        memory=settings.state_dir / "log-memory.json",
    )
    with store.begin() as tx:
        tx.record(
            BrokerStarted(
                actor=f"{BROKER}/start", subject="broker", version=__version__, configuration=settings.digest()
            )
        )
        record_mismatches(running.broker.office, tx)
    running.broker.sweeper.start()
    running.broker.followers.start()
    return running


def hold_alone(settings: Settings) -> IO[str]:
    """Take the lock that keeps a second broker off the same embedded database; held until the file is closed.

    Raises:
        ConfigError: another broker holds it.
    """
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = (Path(settings.state_dir) / "broker.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as taken:
        held.close()
        problem = Problem(
            where=f"state_dir {settings.state_dir}",
            expected="to be the only broker on an embedded database",
            got="another one at work",
        )
        raise ConfigError([problem]) from taken
    return held


def configure_logging() -> None:
    """Log one JSON object a line to standard error; tracebacks without the values of variables, which may be secrets."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def serve(settings: Settings) -> None:
    """Run a broker until it is told to stop; what is due is swept before the first caller is served."""
    configure_logging()
    signal.signal(signal.SIGTERM, _leave)
    with hold_alone(settings):
        running = build(settings)
        running.metronome.start()
        try:
            if settings.openbao is not None:
                # While the first sweep is at work: whatever these rights are, what is due is ended with them.
                _demand_fit_rights(running.broker.issuer.providers)
            _listen(running, settings)
        finally:
            running.metronome.stop()
            running.broker.followers.stop()
            running.broker.office.store.close()


def _leave(number: int, frame: FrameType | None) -> None:
    """End in good order; the server raises the signal again once it has shut down, and so what is open is closed after it."""
    del number, frame
    raise SystemExit(0)


def _listen(running: Running, settings: Settings) -> None:
    import uvicorn  # noqa: PLC0415 - loading the API takes about a second, in which the sweep is at work already

    from countersign.api.app import LOOPBACK, Readiness, make_app  # noqa: PLC0415 - as above

    def readiness() -> Readiness:
        age = running.sweep_age_s()
        fresh = age < OLDEST_SWEEP_S
        return Readiness(
            ok=fresh,
            checks={"sweep": "ok" if fresh else "no sweep was completed lately", **running.broker.followers.checks()},
            sweep_age_s=round(age, 3),
        )

    uvicorn.run(
        make_app(running.broker, readiness=readiness, allowed_hosts=(*LOOPBACK, *settings.allowed_hosts)),
        host=settings.listen_host,
        port=settings.listen_port,
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
