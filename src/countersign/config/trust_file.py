"""The shape of `[trust]` in `catalog.toml`, and the `Trust` that it means."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from countersign.auditlog.note import NotAKey
from countersign.auditlog.witnessing import read_witness_key
from countersign.config.issuer_file import IssuerTable
from countersign.config.logkeys import is_log_key, log_verifier
from countersign.config.problems import expected
from countersign.config.sections import Address, Receiver
from countersign.config.signing_file import PasskeyTable, SigningTable
from countersign.config.table import Name, Table
from countersign.config.threshold_file import ThresholdTable
from countersign.domain.passkey import Passkey, Signing
from countersign.domain.trust import SIX_YEARS_DAYS, Trust, TrustedWitness

LONGEST_RETENTION_DAYS = 36_525
MOST_WITNESSES = 15
"""With the log's own, sixteen signatures: what every reader of notes must accept."""
Origin = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*(/[a-z0-9._-]+)*$", max_length=200)]


def _is_witness_key(text: str) -> str:
    try:
        read_witness_key(text)
    except NotAKey:
        raise expected("a witness's public key (name+id+key, of type 0x04)") from None
    return text


class WitnessTable(Table):
    """`[[trust.witness]]`."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    vkey: Annotated[str, Field(max_length=400), AfterValidator(_is_witness_key)]
    url: Address

    @model_validator(mode="after")
    def _is_named_alike(self) -> Self:
        if read_witness_key(self.vkey).name != self.name:
            raise expected("the name that the key bears")
        return self


class TrustTable(Table):
    """`[trust]`; the addresses of providers are `[trust.providers]`, who is told of emergencies is `[trust.notices]`."""

    log_origin: Origin | None = None
    providers: dict[Name, Address] = Field(default_factory=dict)
    retention_days: Annotated[int, Field(ge=1, le=LONGEST_RETENTION_DAYS)] = SIX_YEARS_DAYS
    thresholds: ThresholdTable = Field(default_factory=ThresholdTable)
    notices: dict[Name, Annotated[list[Receiver], Field(min_length=1, max_length=8)]] = Field(default_factory=dict)
    issuer: Annotated[tuple[IssuerTable, ...], Field(strict=False)] = ()
    signing: SigningTable | None = None
    passkey: Annotated[tuple[PasskeyTable, ...], Field(strict=False, max_length=100)] = ()

    @model_validator(mode="after")
    def _keys_have_a_place(self) -> Self:
        if self.passkey and self.signing is None:
            raise expected("[trust.signing] beside [[trust.passkey]]: a key is bound to a site and its pages")
        if self.signing is not None and self.signing.signed_rules and not self.passkey:
            raise expected("[[trust.passkey]] beside signed_rules: without a key nobody could ever sign a change")
        if len({each.credential_id for each in self.passkey}) != len(self.passkey):
            raise expected("each passkey once")
        return self

    log_keys: Annotated[
        tuple[Annotated[str, Field(max_length=400), AfterValidator(is_log_key)], ...], Field(strict=False)
    ] = ()
    legal_hold: bool = False

    @model_validator(mode="after")
    def _keys_are_of_one_log(self) -> Self:
        names = {log_verifier(each).name for each in self.log_keys}
        if len(names) > 1 or (self.log_origin is not None and names - {self.log_origin}):
            raise expected("log_keys that bear the name of this log, its origin")
        return self

    witness: Annotated[tuple[WitnessTable, ...], Field(strict=False, max_length=MOST_WITNESSES)] = ()
    witness_quorum: Annotated[int, Field(ge=0, le=MOST_WITNESSES)] = 0

    @model_validator(mode="after")
    def _is_a_quorum(self) -> Self:
        if len({each.vkey.split("+", 2)[2] for each in self.witness}) < len(self.witness):
            raise expected("each witness once")
        if not min(1, len(self.witness)) <= self.witness_quorum <= len(self.witness):
            raise expected("a witness_quorum of at least one, and no more than there are witnesses")
        return self

    def meaning(self) -> Trust:
        """Return what the table says."""
        return Trust(
            log_origin=self.log_origin,
            providers=MappingProxyType(dict(self.providers)),
            retention_days=self.retention_days,
            thresholds=MappingProxyType(self.thresholds.model_dump(exclude_none=True)),
            notices=MappingProxyType({group: tuple(names) for group, names in self.notices.items()}),
            issuers=MappingProxyType({each.id: each.meaning() for each in self.issuer}),
            log_keys=self.log_keys,
            legal_hold=self.legal_hold,
            witnesses=tuple(TrustedWitness(name=each.name, vkey=each.vkey, url=each.url) for each in self.witness),
            witness_quorum=self.witness_quorum,
            signing=None if self.signing is None else Signing(**self.signing.model_dump()),
            passkeys=self._passkeys(),
        )

    def _passkeys(self) -> tuple[Passkey, ...]:
        if self.signing is None:
            return ()
        rp_id, origins = self.signing.rp_id, self.signing.origins
        return tuple(Passkey(**each.model_dump(), rp_id=rp_id, origins=origins) for each in self.passkey)
