"""How a credential is handed to a shell, and how a wrapped one is opened at OpenBao itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx2

from countersign.cli.client import fit_address, is_loopback
from countersign.cli.failures import CommandFailed, Exit
from countersign.cli.terminal import is_plain

UNWRAP = "/v1/sys/wrapping/unwrap"
UNWRAP_WITHIN_S = 10.0
LARGEST_SECRET = 1024 * 1024
_REFUSED = (400, 403, 404)

Fields = Mapping[str, Any]


def unwrapped(credential: Fields, *, grant: str) -> dict[str, Any]:
    """Return the credential inside a wrapped one, fetched from OpenBao, past the broker.

    Raises:
        CommandFailed: `already-unwrapped` when somebody else may have opened it; `provider-away` when OpenBao does not serve.
    """
    address = fit_address(str(credential.get("addr") or ""), what="OpenBao's address in the broker's answer")
    try:
        answer = httpx2.post(
            address + UNWRAP,
            headers={"X-Vault-Token": str(credential.get("token") or "")},
            timeout=UNWRAP_WITHIN_S,
            follow_redirects=False,
            trust_env=not is_loopback(urlsplit(address).hostname or ""),
        )
    except httpx2.HTTPError as error:
        raise CommandFailed(
            f"the credential could not be fetched from OpenBao at {address} ({type(error).__name__})",
            exit_code=Exit.AWAY,
            code="provider-away",
            hint=f"what nobody fetched dies by itself; countersign return {grant} ends it at once",
        ) from None
    if answer.status_code in _REFUSED:
        raise CommandFailed(
            "ALARM: the wrapped credential could not be opened. If its time was not over, SOMEBODY ELSE HAS OPENED IT",
            code="already-unwrapped",
            rule="a wrapped credential is opened once, by the one who drew it",
            hint=f"countersign revoke {grant} --reason 'opened by somebody else', and tell security",
        )
    try:
        document = json.loads(answer.content[:LARGEST_SECRET]) if answer.is_success else None
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CommandFailed(
            f"OpenBao answered {answer.status_code} to unwrapping",
            exit_code=Exit.AWAY,
            code="provider-away",
            hint=f"countersign return {grant}",
        )
    return _inside(credential, document)


def _inside(credential: Fields, document: Fields) -> dict[str, Any]:
    kept = {name: value for name, value in credential.items() if name not in {"token", "ttl_s", "of", "unwrap", "kind"}}
    auth, data = document.get("auth"), document.get("data")
    if isinstance(auth, Mapping):
        return {**kept, "kind": credential.get("of"), "token": auth.get("client_token")}
    kept.pop("addr", None)
    return {**kept, **(data if isinstance(data, Mapping) else {}), "kind": credential.get("of")}


def _postgresql(fields: Fields) -> dict[str, object]:
    return {
        "PGHOST": fields.get("host"),
        "PGPORT": fields.get("port"),
        "PGDATABASE": fields.get("dbname"),
        "PGUSER": fields.get("username"),
        "PGPASSWORD": fields.get("password"),
    }


def _aws(fields: Fields) -> dict[str, object]:
    return {
        "AWS_ACCESS_KEY_ID": fields.get("access_key_id"),
        "AWS_SECRET_ACCESS_KEY": fields.get("secret_access_key"),
        "AWS_SESSION_TOKEN": fields.get("session_token"),
        "AWS_REGION": fields.get("region"),
        "AWS_DEFAULT_REGION": fields.get("region"),
        "AWS_ENDPOINT_URL": fields.get("endpoint_url"),
        "AWS_CREDENTIAL_EXPIRATION": fields.get("expiration"),
    }


def _openbao(fields: Fields) -> dict[str, object]:
    address, token = fields.get("addr"), fields.get("token")
    return {"BAO_ADDR": address, "BAO_TOKEN": token, "VAULT_ADDR": address, "VAULT_TOKEN": token}


def _wrapped(fields: Fields) -> dict[str, object]:
    return {"BAO_ADDR": fields.get("addr"), "BAO_TOKEN": fields.get("token")}


_VARIABLES: Mapping[str, tuple[Callable[[Fields], dict[str, object]], str]] = MappingProxyType(
    {
        "postgresql": (_postgresql, "psql"),
        "aws": (_aws, "aws sts get-caller-identity, or any AWS SDK"),
        "openbao-token": (_openbao, "bao token lookup"),
        "wrapped": (_wrapped, "bao unwrap"),
    }
)


def exports(credential: Fields, lease: Fields) -> tuple[list[str], str]:
    """Return the lines that put a credential into a shell's environment, and what to use it with.

    Raises:
        CommandFailed: a kind that is not known here, or a value that would not be safe to print.
    """
    kind = str(credential.get("kind"))
    if kind not in _VARIABLES:
        raise CommandFailed(f"a credential of a kind that is not known here: {kind}", hint="see it with --json")
    variables, use = _VARIABLES[kind]
    given: dict[str, object] = {
        **variables(credential),
        "COUNTERSIGN_GRANT": lease.get("grant_id"),
        "COUNTERSIGN_EXPIRES_AT": lease.get("not_after"),
    }
    lines = []
    for name, value in given.items():
        if value is None:
            continue
        if not is_plain(str(value)):
            raise CommandFailed(f"{name} holds characters that must not reach a terminal", hint="see it with --json")
        lines.append(f"export {name}={shlex.quote(str(value))}")
    return lines, use
