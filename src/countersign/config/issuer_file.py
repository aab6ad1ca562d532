"""The shape of `[[trust.issuer]]` in `catalog.toml`, and the `Issuer` that it means."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from countersign.config.problems import expected
from countersign.config.sections import fit_address
from countersign.config.table import Name, Table, Value
from countersign.domain.environment import Environment
from countersign.domain.issuer import Issuer, Use

LONGEST_FRESHNESS_S = 7 * 24 * 3600
LARGEST_SKEW_S = 120
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
ClaimName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/-]{1,100}$")]
Subject = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")]
"""What OpenID Connect says of a subject, without blanks."""
Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,100}$")]
Freshness = Annotated[int, Field(ge=1, le=LONGEST_FRESHNESS_S)]


def _is_issuer(text: str) -> str:
    """Keep an address as it is written: it is compared with `iss`, and some issuers end in a slash."""
    fit_address(text)
    return text


def _is_commits(text: str) -> str:
    if "{repository}" not in text or "{sha}" not in text or not text.startswith("https://"):
        raise expected("an https address with {repository} and {sha} in it")
    return text


class IssuerTable(Table):
    """`[[trust.issuer]]`; `environments` says for each how old its word on groups may be, in seconds."""

    id: Name
    url: Annotated[str, AfterValidator(_is_issuer)]
    use: Annotated[Use, Field(strict=False)]
    audience: Value
    cli_audience: Value | None = None
    algorithms: Annotated[tuple[Algorithm, ...], Field(strict=False, min_length=1)]
    environments: dict[Annotated[Environment, Field(strict=False)], Freshness] = Field(min_length=1)
    scopes: Annotated[tuple[Scope, ...], Field(strict=False)] = ("openid",)
    person_claim: ClaimName = "sub"
    groups_claim: ClaimName | None = None
    groups: dict[Name, Annotated[tuple[Value, ...], Field(strict=False, min_length=1)]] = Field(default_factory=dict)
    actor_claims: Annotated[tuple[ClaimName, ...], Field(strict=False)] = ()
    commits_url: Annotated[Value, AfterValidator(_is_commits)] | None = None
    max_skew_s: Annotated[int, Field(ge=0, le=LARGEST_SKEW_S)] = 30

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.groups_claim is None) != (not self.groups):
            raise expected("groups_claim and groups together: a claim without a mapping confirms nothing")
        if self.person_claim in {"email", "preferred_username", "name", "nickname", "upn"}:
            raise expected("a person_claim that is never given to somebody else; e-mail addresses and names are")
        if "openid" not in self.scopes:
            raise expected("openid among the scopes")
        if self.use is Use.PIPELINES and not self.actor_claims:
            raise expected("actor_claims for pipelines: the humans behind one may not sign what it asks for")
        if self.use is Use.PIPELINES and (self.groups_claim or self.cli_audience):
            raise expected("neither groups_claim nor cli_audience for pipelines")
        if self.use is Use.PEOPLE and (self.actor_claims or self.commits_url):
            raise expected("neither actor_claims nor commits_url for people")
        if self.cli_audience == self.audience:
            raise expected("a cli_audience other than audience: its tokens alone bind device keys")
        return self

    def meaning(self) -> Issuer:
        """Return what the table says."""
        return Issuer(
            id=self.id,
            url=self.url,
            use=self.use,
            audience=self.audience,
            cli_audience=self.cli_audience,
            algorithms=self.algorithms,
            environments=MappingProxyType(
                {environment.value: timedelta(seconds=span) for environment, span in self.environments.items()}
            ),
            scopes=self.scopes,
            person_claim=self.person_claim,
            groups_claim=self.groups_claim,
            groups=MappingProxyType(dict(self.groups)),
            actor_claims=self.actor_claims,
            commits_url=self.commits_url,
            max_skew=timedelta(seconds=self.max_skew_s),
        )
