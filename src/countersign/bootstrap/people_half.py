"""Puts together the half that faces people: what asks, signs, judges and answers, and holds no right at any provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from countersign.providers.base import Previewer
from countersign.providers.records import RecordSource
from countersign.scheduler import Beat
from countersign.service.afterwards import Afterwards
from countersign.service.broker import Broker
from countersign.service.campaigns import Campaigns
from countersign.service.ceremonies import Ceremonies
from countersign.service.control import Control
from countersign.service.done import Doings
from countersign.service.draws import Draws
from countersign.service.envelopes import Envelopes
from countersign.service.events import Events
from countersign.service.explaining import Explanations
from countersign.service.findings import Findings
from countersign.service.followers import Followers
from countersign.service.identities import Identities
from countersign.service.idling import why_use_is_unknown
from countersign.service.inquiries import Inquiries
from countersign.service.leaving import Leaving
from countersign.service.office import Office
from countersign.service.packs import Packs
from countersign.service.page_acts import Acts
from countersign.service.page_tasks import Tasks
from countersign.service.passkeys import Passkeys
from countersign.service.pipelines import Pipelines
from countersign.service.publication import Publication
from countersign.service.questions import Questions
from countersign.service.reads import Reads
from countersign.service.rehearsal import Rehearsal
from countersign.service.requests import Requests
from countersign.service.retention import Retention
from countersign.service.rulemaking import Rulemaking
from countersign.service.sessions import Sessions
from countersign.service.signing_in import SignIn
from countersign.service.submission import Submissions
from countersign.service.tokens import Gate
from countersign.service.witnesses import Witnesses

CAMPAIGNS_EVERY = timedelta(seconds=10)


def assemble_people(
    *,
    office: Office,
    draws: Draws,
    previews: Mapping[str, Previewer],
    sources: Sequence[RecordSource],
    publication: Publication,
    followers: Followers,
    troubles: Mapping[str, str],
    tokens_allowed: bool,
    identities: Identities,
) -> Broker:
    """Build the use cases of this half.

    Args:
        office: shared by all of them.
        draws: who draws for it.
        previews: by provider name, what an order would give; functions that call nobody.
        sources: which records of others are followed; nothing is read of them here.
        publication: the log as the world may fetch it.
        followers: those of this process.
        troubles: what witnesses' last answers came to, as far as this process asks them.
        tokens_allowed: whether bearer tokens are accepted.
        identities: the identity issuers.
    """
    submissions = Submissions(office=office, previews=previews)
    sessions, control = Sessions(office=office), Control(office=office)
    requests, passkeys = Requests(office=office, submissions=submissions), Passkeys(office=office)
    questions = Questions(office=office, submissions=submissions)
    rehearsal = Rehearsal(previews=previews, objection=lambda item: why_use_is_unknown(item, sources))
    rulemaking = Rulemaking(office=office, rehearsal=rehearsal, demand_keys=publication.evidence.demand_keys)
    envelopes = Envelopes(office=office, submissions=submissions)
    tasks = Tasks(office=office, requests=requests, passkeys=passkeys, rulemaking=rulemaking, envelopes=envelopes)
    acts = Acts(office=office, requests=requests, passkeys=passkeys, rulemaking=rulemaking, envelopes=envelopes)
    return Broker(
        office=office,
        gate=Gate(office=office, tokens_allowed=tokens_allowed),
        sign_in=SignIn(office=office, identities=identities, sessions=sessions),
        sessions=sessions,
        leaving=Leaving(office=office, identities=identities, sessions=sessions, control=control),
        pipelines=Pipelines(office=office, identities=identities, sessions=sessions),
        requests=requests,
        questions=questions,
        explanations=Explanations(office=office),
        inquiries=Inquiries(office=office),
        control=control,
        rulemaking=rulemaking,
        envelopes=envelopes,
        afterwards=Afterwards(office=office),
        passkeys=passkeys,
        ceremonies=Ceremonies(office=office, tasks=tasks, acts=acts),
        draws=draws,
        doings=Doings(office=office, submissions=submissions, sources=sources),
        evidence=publication.evidence,
        publication=publication,
        witnesses=Witnesses(office=office, troubles=troubles),
        followers=followers,
        packs=Packs(office=office, publication=publication),
        campaigns=Campaigns(office=office),
        events=Events(office=office),
        findings=Findings(office=office),
        retention=Retention(office=office),
        reads=Reads(office=office, questions=questions),
    )


def people_beats(broker: Broker) -> list[Beat]:
    """Return what this half does again and again, besides following the log."""
    return [Beat(name="campaigns", interval=CAMPAIGNS_EVERY, job=broker.campaigns.close_due)]
