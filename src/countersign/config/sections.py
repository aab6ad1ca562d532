"""The nested tables of the settings: addresses, the back ends' accounts, and secrets that may come from files."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from countersign.config.logkeys import is_log_key
from countersign.config.problems import expected
from countersign.config.secretfile import read_secret
from countersign.config.webhooksecret import UnfitSecret, read_webhook_secret

DATABASES = ("sqlite", "postgresql")


def is_loopback(host: str) -> bool:
    """Say whether a host name or address leads nowhere but to this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def fit_address(text: str) -> str:
    """Return an address without its last slash: https, or http that does not leave this machine."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise expected("an address such as https://bao.example:8200") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise expected("an address such as https://bao.example:8200")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise expected("an address without user, password, query or fragment")
    if parts.scheme == "http" and not is_loopback(host):
        raise expected("https (plain http reaches no further than this machine)")
    return text.rstrip("/")


def _is_database(secret: SecretStr) -> SecretStr:
    scheme = secret.get_secret_value().partition("://")[0].partition("+")[0]
    if scheme not in DATABASES:
        raise expected("a database URL that begins with sqlite:// or postgresql://")
    return secret


Address = Annotated[str, AfterValidator(fit_address)]
Receiver = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")]
"""The name of a webhook's receiver."""
DatabaseUrl = Annotated[SecretStr, AfterValidator(_is_database)]
Region = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]


def secrets_of(model: type[BaseModel]) -> Iterator[str]:
    """Name the fields of a table that hold secrets."""
    for name, field in model.model_fields.items():
        if field.annotation is SecretStr or SecretStr in get_args(field.annotation):
            yield name


def with_secrets_read(model: type[BaseModel], data: object) -> object:
    """Return a table's data with every `<secret>_file` read into its `<secret>`."""
    if not isinstance(data, Mapping):
        return data
    read = dict(data)
    for name in secrets_of(model):
        path = read.get(f"{name}_file")
        if path is None:
            continue
        if read.get(name) is not None:
            raise expected(f"either {name} or {name}_file")
        read[name] = read_secret(Path(str(path)))
    return read


class Section(BaseModel):
    """A nested table of settings; inputs stay out of error texts because some of them are secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, data: object) -> object:
        return with_secrets_read(cls, data)


class OpenBao(Section):
    """The broker's account at OpenBao.

    Attributes:
        wrap_ttl_s: how long a wrapped credential waits to be unwrapped, in seconds.
        audit_log: the file of OpenBao's audit device, which is then followed; it must be on this machine.
    """

    addr: Address
    role_id: SecretStr
    role_id_file: Path | None = None
    secret_id: SecretStr
    secret_id_file: Path | None = None
    ca_file: Path | None = None
    wrap_ttl_s: Annotated[int, Field(ge=1, le=120)] = 60
    audit_log: Path | None = None


class LogTransit(Section):
    """The log's key in OpenBao's transit engine, and a login of its own that may sign with it and nothing else.

    Attributes:
        mount: of the engine.
        key: its name there; of type ed25519, not exportable.
        key_version: the version that signs.
        vkey: its public half under the log's name; what OpenBao signs is held against it.
    """

    addr: Address
    role_id: SecretStr
    role_id_file: Path | None = None
    secret_id: SecretStr
    secret_id_file: Path | None = None
    ca_file: Path | None = None
    mount: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,63}$")] = "transit"
    key: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,63}$")]
    key_version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    vkey: Annotated[str, Field(max_length=400), AfterValidator(is_log_key)]


class AwsAccount(Section):
    """One identity of the broker's at AWS: a profile of AWS's own configuration, or a key pair."""

    profile: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    access_key_id: SecretStr | None = None
    access_key_id_file: Path | None = None
    secret_access_key: SecretStr | None = None
    secret_access_key_file: Path | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        keys = [key for key in (self.access_key_id, self.secret_access_key) if key is not None]
        if len(keys) != (0 if self.profile else 2):
            raise expected("either profile, or access_key_id and secret_access_key")
        return self


class Aws(Section):
    """Where AWS is, and the identities there: one assumes roles, the other writes denials. Neither may do both.

    Attributes:
        reader: a third one that may look up CloudTrail's events and nothing else; without it they are not read.
    """

    endpoint_url: Address | None = None
    region: Region = "us-east-1"
    assumer: AwsAccount
    revoker: AwsAccount
    reader: AwsAccount | None = None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        one, other = self.assumer, self.revoker
        if (one.profile, one.access_key_id) == (other.profile, other.access_key_id):
            raise expected("different identities for assumer and revoker")
        return self


class ArchiveBucket(AwsAccount):
    """A bucket with versions and Object Lock to which the log is copied, and an identity that may put and look there, no more.

    Attributes:
        bucket: its name; the account should be one that the broker's operators do not administer.
        prefix: before every path, ending in a slash; may be empty.
    """

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{2,62}$")]
    prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9._-]+/)*$", max_length=200)] = ""
    region: Region = "us-east-1"
    endpoint_url: Address | None = None


class TargetAccess(Section):
    """How the broker reaches a target itself, to close, end and look; the account may execute our functions and no more.

    Attributes:
        log: the folder or file of the server's `jsonlog`, which is then followed; it must be on this machine.
    """

    dsn: SecretStr
    dsn_file: Path | None = None
    log: Path | None = None


class WebhookAccess(Section):
    """A receiver of webhooks.

    Attributes:
        url: where it is, without a query; secrets do not belong there.
        secret: shared with it: `whsec_` and 24 to 64 bytes in base64.
        stream: whether it gets every entry of the log; one that only `[trust.notices]` names gets those notices.
        allow_private: let it be in a private network.
        ca_file: authorities that vouch for it instead of the system's.
    """

    url: Address
    secret: SecretStr
    secret_file: Path | None = None
    stream: bool = False
    allow_private: bool = False
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _is_fit(self) -> Self:
        try:
            read_webhook_secret(self.secret.get_secret_value())
        except UnfitSecret as unfit:
            raise expected(str(unfit).removeprefix("expected ")) from None
        return self


class IssuerAccess(Section):
    """What the broker proves itself with at an identity issuer of `[[trust.issuer]]`, and at its source of commits."""

    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    commits_token: SecretStr | None = None
    commits_token_file: Path | None = None


def plain(value: Any) -> object:  # noqa: ANN401 - whatever a settings table holds
    """Return a table's values as canonical JSON; of a secret only that it is given."""
    match value:
        case SecretStr():
            return "given"
        case BaseModel():
            return {name: plain(getattr(value, name)) for name in type(value).model_fields}
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case Path() | float():
            return str(value)
        case _:
            return value
