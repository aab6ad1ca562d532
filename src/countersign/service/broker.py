"""The broker as its rim sees it: every use case, built once by `bootstrap`."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.service.afterwards import Afterwards
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
from countersign.service.followers import Followers
from countersign.service.idling import Idling
from countersign.service.inquiries import Inquiries
from countersign.service.issuer import Issuer
from countersign.service.leaving import Leaving
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
from countersign.service.selfcheck import SelfCheck
from countersign.service.sessions import Sessions
from countersign.service.signing_in import SignIn
from countersign.service.sweeper import Sweeper
from countersign.service.tokens import Gate


@dataclass(frozen=True, kw_only=True)
class Broker:
    """All use cases. The first fourteen face people, the others face providers and the log."""

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
    issuer: Issuer
    sweeper: Sweeper
    reconciler: Reconciler
    records: Records
    idling: Idling
    doings: Doings
    evidence: Evidence
    publication: Publication
    cosigning: Cosigning
    packs: Packs
    campaigns: Campaigns
    followers: Followers
    findings: Findings
    reads: Reads
    self_check: SelfCheck
    events: Events
