"""Whom the broker trusts, as two people countersigned it: names and addresses that decide what an answer is worth.

These are settings in that they describe the outside, and rules in that they decide whom we believe; so they stand in the
catalog, and the running configuration must agree with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from countersign.domain.issuer import Issuer
from countersign.domain.passkey import Passkey, Signing

SIX_YEARS_DAYS = 2192
"""How long evidence is kept unless the rules say otherwise: SEC 17a-4 asks for six years, leap days included."""


@dataclass(frozen=True, kw_only=True)
class TrustedWitness:
    """Somebody elsewhere who vouches that our log only grows.

    Attributes:
        name: the name in its signatures.
        vkey: its public key (name+id+key, type 0x04).
        url: where checkpoints are submitted, without `/add-checkpoint`.
    """

    name: str
    vkey: str
    url: str

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"name": self.name, "vkey": self.vkey, "url": self.url}


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What was countersigned about the outside. Absent values decide nothing, and leave the catalog's digest as it was.

    Attributes:
        log_origin: the name that every checkpoint of this log must bear; None leaves it to the settings.
        providers: by provider name, the only address at which its answers are believed.
        retention_days: how long evidence must be kept, in days.
        thresholds: from where on the detectors tell of something, where that differs from what they do by themselves.
        notices: by group, the webhooks by which its members are told when they were skipped in an emergency.
        issuers: by id, whose words about identities are believed.
        log_keys: the public keys that may sign the log, of which one does; none leaves it to the settings.
        legal_hold: keep all of it beyond its time too, until this is countersigned away again.
        witnesses: who is asked to cosign checkpoints.
        witness_quorum: how many of them make a checkpoint cosigned; zero only where there are none.
        signing: where passkeys are used and what they must sign; None where nobody signs with one.
        passkeys: the first ones, on which every later enrolment rests. They count as the genesis names them.
    """

    log_origin: str | None = None
    providers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    retention_days: int = SIX_YEARS_DAYS
    thresholds: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    notices: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    issuers: Mapping[str, Issuer] = field(default_factory=lambda: MappingProxyType({}))
    log_keys: tuple[str, ...] = ()
    legal_hold: bool = False
    witnesses: tuple[TrustedWitness, ...] = ()
    witness_quorum: int = 0
    signing: Signing | None = None
    passkeys: tuple[Passkey, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return everything that differs from saying nothing, as plain JSON; what is stored and hashed."""
        said = self._of_the_log()
        if self.providers:
            said["providers"] = dict(sorted(self.providers.items()))
        if self.thresholds:
            said["thresholds"] = dict(sorted(self.thresholds.items()))
        if self.notices:
            said["notices"] = {group: sorted(receivers) for group, receivers in sorted(self.notices.items())}
        if self.issuers:
            said["issuers"] = [issuer.document() for _, issuer in sorted(self.issuers.items())]
        if self.signing is not None:
            said["signing"] = self.signing.document()
        if self.passkeys:
            said["passkeys"] = [passkey.document() for passkey in self.passkeys]
        return said

    def _of_the_log(self) -> dict[str, Any]:
        said: dict[str, Any] = {}
        if self.log_origin is not None:
            said["log_origin"] = self.log_origin
        if self.retention_days != SIX_YEARS_DAYS:
            said["retention_days"] = self.retention_days
        if self.log_keys:
            said["log_keys"] = list(self.log_keys)
        if self.legal_hold:
            said["legal_hold"] = True
        if self.witnesses:
            said["witness"] = [each.document() for each in self.witnesses]
            said["witness_quorum"] = self.witness_quorum
        return said
