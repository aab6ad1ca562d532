"""The half that faces people, as its rim sees it: every use case of theirs, built once by `bootstrap`."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.service.afterwards import Afterwards
from countersign.service.campaigns import Campaigns
from countersign.service.ceremonies import Ceremonies
from countersign.service.control import Control
from countersign.service.done import Doings
from countersign.service.draws import Draws
from countersign.service.envelopes import Envelopes
from countersign.service.events import Events
from countersign.service.evidence import Evidence
from countersign.service.explaining import Explanations
from countersign.service.findings import Findings
from countersign.service.followers import Followers
from countersign.service.inquiries import Inquiries
from countersign.service.leaving import Leaving
from countersign.service.office import Office
from countersign.service.packs import Packs
from countersign.service.passkeys import Passkeys
from countersign.service.pipelines import Pipelines
from countersign.service.publication import Publication
from countersign.service.questions import Questions
from countersign.service.reads import Reads
from countersign.service.requests import Requests
from countersign.service.retention import Retention
from countersign.service.rulemaking import Rulemaking
from countersign.service.sessions import Sessions
from countersign.service.signing_in import SignIn
from countersign.service.tokens import Gate
from countersign.service.witnesses import Witnesses


@dataclass(frozen=True, kw_only=True)
class Broker:
    """The use cases of people. None of them holds a provider; what is to be drawn, `draws` has drawn."""

    office: Office
    gate: Gate
    sign_in: SignIn
    sessions: Sessions
    leaving: Leaving
    pipelines: Pipelines
    requests: Requests
    questions: Questions
    explanations: Explanations
    inquiries: Inquiries
    control: Control
    rulemaking: Rulemaking
    envelopes: Envelopes
    afterwards: Afterwards
    passkeys: Passkeys
    ceremonies: Ceremonies
    draws: Draws
    doings: Doings
    evidence: Evidence
    publication: Publication
    witnesses: Witnesses
    packs: Packs
    campaigns: Campaigns
    followers: Followers
    findings: Findings
    retention: Retention
    reads: Reads
    events: Events
