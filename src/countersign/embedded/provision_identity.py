"""Makes the embedded OpenBao the identity issuer of the stack: people with passwords, and an OpenID Connect provider.

The clients are public ones, as the command line's always is: the passwords and the addresses on loopback are what protects a
stack that lives on one machine.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any

import hvac

NAME = "countersign"
WEB, CLI = "countersign-web", "countersign-cli"
CALLBACK = "/sign-in/callback"
CLI_CALLBACK = "http://127.0.0.1/callback"
LASTS = "10m"


@dataclass(frozen=True, kw_only=True)
class ProvisionedIdentity:
    """The issuer, and who can sign in there.

    Attributes:
        url: as it stands in its tokens.
        public_url: where browsers reach the broker, and come back to.
        web_client: the client id of the broker.
        cli_client: the client id of the command line.
        subjects: by person, what the issuer calls him.
        passwords: by person; for whoever runs the embedded stack.
    """

    url: str
    public_url: str
    web_client: str
    cli_client: str
    subjects: Mapping[str, str]
    passwords: Mapping[str, str] = field(repr=False)

    def issuer(self) -> str:
        """Return the issuer's `[[trust.issuer]]`, to stand in a catalog."""
        return Template(
            '\n[[trust.issuer]]\nid = "openbao"\nurl = "$url"\nuse = "people"\naudience = "$web"\n'
            'cli_audience = "$cli"\nalgorithms = ["RS256"]\n'
            "environments = { production = 3600, staging = 86400, development = 86400 }\n"
        ).substitute(url=self.url, web=self.web_client, cli=self.cli_client)

    def principals(self) -> str:
        """Return a `[[principal]]` for everybody, to stand in a directory: the same who holds a bearer token."""
        table = Template(
            '\n[[principal]]\nid = "$person"\nperson = "$person"\nissuer = "openbao"\nsubject = "$subject"\n'
        )
        return "".join(
            table.substitute(person=person, subject=subject) for person, subject in sorted(self.subjects.items())
        )


def provision_identity(
    client: hvac.Client, *, address: str, people: Iterable[str], public_url: str
) -> ProvisionedIdentity:
    """Set people and the provider up.

    Args:
        client: with the rights of the root token.
        address: OpenBao's own, for its issuer's name.
        people: who gets a password.
        public_url: where browsers reach the broker.
    """
    client.sys.enable_auth_method("userpass")
    accessor = client.sys.list_auth_methods()["data"]["userpass/"]["accessor"]
    passwords = {person: secrets.token_urlsafe(9) for person in people}
    subjects = {person: _person(client, accessor, person, password) for person, password in passwords.items()}
    _write(client, f"identity/oidc/key/{NAME}", algorithm="RS256", allowed_client_ids=["*"], verification_ttl=LASTS)
    _write(client, f"identity/oidc/assignment/{NAME}", entity_ids=list(subjects.values()), group_ids=[])
    redirects = {WEB: [f"{public_url}{CALLBACK}"], CLI: [CLI_CALLBACK]}
    ids = {name: _client(client, name, addresses) for name, addresses in redirects.items()}
    _write(
        client,
        f"identity/oidc/provider/{NAME}",
        issuer=address,
        allowed_client_ids=list(ids.values()),
        scopes_supported=[],
    )
    return ProvisionedIdentity(
        url=f"{address}/v1/identity/oidc/provider/{NAME}",
        public_url=public_url,
        web_client=ids[WEB],
        cli_client=ids[CLI],
        subjects=subjects,
        passwords=passwords,
    )


def _person(client: hvac.Client, accessor: str, name: str, password: str) -> str:
    _write(client, f"auth/userpass/users/{name}", password=password, token_policies=["default"], token_ttl=LASTS)
    entity = _write(client, "identity/entity", name=name)["data"]["id"]
    _write(client, "identity/entity-alias", name=name, canonical_id=entity, mount_accessor=accessor)
    return str(entity)


def _client(client: hvac.Client, name: str, addresses: list[str]) -> str:
    _write(
        client,
        f"identity/oidc/client/{name}",
        key=NAME,
        client_type="public",
        redirect_uris=addresses,
        assignments=[NAME],
        id_token_ttl=LASTS,
        access_token_ttl=LASTS,
    )
    return str(client.read(f"identity/oidc/client/{name}")["data"]["client_id"])


def _write(client: hvac.Client, path: str, **values: str | list[str]) -> Any:  # noqa: ANN401 -- hvac answers with untyped JSON
    return client.adapter.request("post", f"/v1/{path}", json=values)
