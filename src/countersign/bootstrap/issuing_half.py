"""Puts together the half that faces providers: what issues, ends, looks, and signs the log."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from countersign.providers.base import Provider, StopsTargets
from countersign.providers.records import RecordSource
from countersign.providers.witness import WitnessWire
from countersign.scheduler import Beat
from countersign.service.archiving import Archive, Archiving
from countersign.service.checkpoints import Checkpoints
from countersign.service.cosigning import Cosigning
from countersign.service.followers import Follower, Followers
from countersign.service.identities import Identities
from countersign.service.idling import Idling
from countersign.service.issuer import Issuer
from countersign.service.issuing import Issuing
from countersign.service.memory import LogMemory
from countersign.service.office import Office
from countersign.service.order_desk import AT_ONCE, OrderDesk
from countersign.service.publication import Publication
from countersign.service.reconciler import Reconciler
from countersign.service.records import Records
from countersign.service.rules import RuleReader
from countersign.service.selfcheck import EVERY as CHECK_EVERY
from countersign.service.selfcheck import SelfCheck
from countersign.service.stopping import TargetStops
from countersign.service.sweeper import Sweeper
from countersign.service.warrants import Warrants

RECONCILE_EVERY = timedelta(seconds=60)
RECORDS_EVERY = timedelta(seconds=1)
IDLE_EVERY = timedelta(seconds=2)
CHECKPOINT_EVERY = timedelta(seconds=1)
ORDERS_EVERY = timedelta(milliseconds=100)
TIDY_EVERY = timedelta(seconds=1)
LANES, HANDS = 128, 512
"""Threads are made when they are needed: so many that targets which hang do not use them up."""


def assemble_issuing(
    *,
    office: Office,
    providers: Mapping[str, Provider],
    sources: Sequence[RecordSource],
    checkpoints: Checkpoints,
    publication: Publication,
    memory: LogMemory,
    archive: Archive | None,
    followers: Sequence[Follower],
) -> Issuing:
    """Build the use cases of this half.

    Args:
        office: shared by all of them.
        providers: by name; nobody else is handed them.
        sources: other people's records.
        checkpoints: signs the log.
        publication: the log as witnesses and the copy outside are shown it.
        memory: of the log, outside of the database.
        archive: where the log is copied to, if anywhere.
        followers: further ones of this process.
    """
    cosigning = Cosigning(office=office, publication=publication, checkpoints=checkpoints, submit=WitnessWire().submit)
    copies = (
        []
        if archive is None
        else [Archiving(office=office, publication=publication, checkpoints=checkpoints, archive=archive)]
    )
    stoppers = {name: provider for name, provider in providers.items() if isinstance(provider, StopsTargets)}
    stops = [TargetStops(store=office.store, rules=RuleReader(), providers=stoppers)] if stoppers else []
    records = Records(office=office, sources=sources)
    return Issuing(
        office=office,
        issuer=Issuer(office=office, providers=providers, cosigning=cosigning, memory=memory),
        sweeper=Sweeper(
            office=office,
            providers=providers,
            lanes=ThreadPoolExecutor(LANES, thread_name_prefix="countersign-lane"),
            hands=ThreadPoolExecutor(HANDS, thread_name_prefix="countersign-hand"),
        ),
        reconciler=Reconciler(office=office, providers=providers),
        records=records,
        idling=Idling(office=office, records=records),
        checkpoints=checkpoints,
        cosigning=cosigning,
        followers=Followers(
            office=office, followers=[cosigning, *copies, *stops, *followers], me=secrets.token_hex(16)
        ),
        self_check=SelfCheck(office=office),
    )


def assemble_desk(issuing: Issuing, *, identities: Identities) -> OrderDesk:
    """Build what serves draw orders, where the half that faces people is a process of its own.

    Args:
        issuing: this half.
        identities: reaches the identity issuers, with no secret at any.
    """
    warrants = Warrants(office=issuing.office, identities=identities, memory=issuing.issuer.memory)
    hands = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="countersign-order")
    return OrderDesk(office=issuing.office, warrants=warrants, issuer=issuing.issuer, hands=hands)


def issuing_beats(issuing: Issuing, *, sweep_every: timedelta) -> list[Beat]:
    """Return what this half does again and again, besides following the log."""
    return [
        Beat(name="sweep", interval=sweep_every, job=issuing.sweeper.sweep, vital=True),
        Beat(name="reconcile", interval=RECONCILE_EVERY, job=issuing.reconciler.reconcile),
        Beat(name="records", interval=RECORDS_EVERY, job=issuing.records.follow),
        Beat(name="idle", interval=IDLE_EVERY, job=issuing.idling.end_unused),
        Beat(name="checkpoint", interval=CHECKPOINT_EVERY, job=issuing.checkpoints.sign),
        Beat(name="self-check", interval=CHECK_EVERY, job=issuing.self_check.check_if_due),
    ]


def desk_beats(desk: OrderDesk) -> list[Beat]:
    """Return what serves orders, and takes back what reached nobody."""
    return [
        Beat(name="orders", interval=ORDERS_EVERY, job=desk.serve_waiting),
        Beat(name="tidy", interval=TIDY_EVERY, job=desk.tidy),
    ]
