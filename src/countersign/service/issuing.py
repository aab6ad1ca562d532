"""The half that faces providers and signs the log: every use case of it, built once by `bootstrap`."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.service.checkpoints import Checkpoints
from countersign.service.cosigning import Cosigning
from countersign.service.followers import Followers
from countersign.service.idling import Idling
from countersign.service.issuer import Issuer
from countersign.service.office import Office
from countersign.service.reconciler import Reconciler
from countersign.service.records import Records
from countersign.service.selfcheck import SelfCheck
from countersign.service.sweeper import Sweeper


@dataclass(frozen=True, kw_only=True)
class Issuing:
    """What issues, ends, looks, follows other people's records, and signs. It alone is handed providers and the log's key."""

    office: Office
    issuer: Issuer
    sweeper: Sweeper
    reconciler: Reconciler
    records: Records
    idling: Idling
    checkpoints: Checkpoints
    cosigning: Cosigning
    followers: Followers
    self_check: SelfCheck
