"""The broker's own settings: from the environment (`COUNTERSIGN_…`), a TOML file and secret files, unsafe mixtures refused.

A secret comes from the environment or from a file of its own (`…_FILE`), never from the TOML file. What is wrong is told
without showing what was given, because that could be a secret.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from countersign.config.halves import Half, what_does_not_fit
from countersign.config.logkeys import is_log_key
from countersign.config.problems import ConfigError, Problem, expected, located, problems_of
from countersign.config.sections import (
    Address,
    ArchiveBucket,
    Aws,
    DatabaseUrl,
    IssuerAccess,
    LogTransit,
    OpenBao,
    Receiver,
    Region,
    TargetAccess,
    WebhookAccess,
    is_loopback,
    plain,
    with_secrets_read,
)
from countersign.config.table import Name
from countersign.config.tomlfile import read_toml
from countersign.config.trust_file import Origin
from countersign.domain.canonical import digest

PREFIX = "COUNTERSIGN_"
FILE_VARIABLE = f"{PREFIX}CONFIG"
"""The environment variable that names the TOML file."""
SECRET_KEYS = frozenset(
    {
        "database_url",
        "role_id",
        "secret_id",
        "access_key_id",
        "secret_access_key",
        "dsn",
        "client_secret",
        "commits_token",
        "secret",
    }
)
"""Keys that hold secrets, in any table: they do not stand in the TOML file."""


class Settings(BaseSettings):
    """Everything a process of the broker must be told. Build it with `load_settings`, which tells problems safely.

    Attributes:
        half: what this process is: `people` faces people and holds no provider rights, `issuer` faces providers and no people;
            `both` is one process, and needs no other.
        mode: `embedded` is one machine with bearer tokens for trying things out; `production` is everything else.
        allow_tokens: accept bearer tokens; embedded mode only.
        database_url: SQLAlchemy's URL; a SQLite file in `state_dir` unless given.
        genesis: the digest of the first catalog and directory, pinned by a second person; told by the first start.
        log_origin: the name of the log that every checkpoint bears; never changes during a log's life.
        allowed_hosts: further names by which callers may address the broker, besides those of the loopback.
        log_public: serve the log's files to whoever reaches the broker, rather than to auditors alone.
        sweep_interval_s: seconds between sweeps.
        log_vkey: the log's public key, for the half that faces people; unless the rules name the keys.
        log_transit: the log's key at OpenBao; without it the key lies in the file `log_key_path`.
        archive: where the log is copied so that nobody can change it.
        aws_region: for previews in the half that faces people: the region of targets that name none.
        targets: by target id, how to reach a target itself.
        webhooks: by name, who is posted the log or notices of emergencies.
        stream_path: a file to which every entry of the log is appended as a line of JSON.
        public_url: where browsers reach the broker; sign-ins come back to it, and over https cookies are bound to its host.
        issuers: by identity issuer, the secret of the broker's client there.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        nested_model_default_partial_update=False,
    )

    mode: Literal["embedded", "production"] = "production"
    allow_tokens: bool = False
    half: Half = Half.BOTH
    state_dir: Path = Path(".countersign")
    database_url: DatabaseUrl = Field(
        default_factory=lambda known: SecretStr(f"sqlite:///{known['state_dir'] / 'countersign.db'}")
    )
    database_url_file: Path | None = None
    catalog_path: Path = Path("catalog.toml")
    directory_path: Path = Path("directory.toml")
    genesis: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    listen_host: str = "127.0.0.1"
    listen_port: Annotated[int, Field(ge=0, le=65535)] = 8440
    log_origin: Origin = "countersign.local/log"
    allowed_hosts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]{1,253}$")], ...] = ()
    log_public: bool = False
    log_vkey: Annotated[str, Field(max_length=400), AfterValidator(is_log_key)] | None = None
    log_key_path: Path = Field(default_factory=lambda known: known["state_dir"] / "log.key")
    sweep_interval_s: Annotated[float, Field(ge=0.05, le=60, allow_inf_nan=False)] = 0.5
    openbao: OpenBao | None = None
    aws: Aws | None = None
    aws_region: Region = "us-east-1"
    archive: ArchiveBucket | None = None
    log_transit: LogTransit | None = None
    targets: dict[Name, TargetAccess] = Field(default_factory=dict)
    webhooks: dict[Receiver, WebhookAccess] = Field(default_factory=dict)
    stream_path: Path | None = None
    public_url: Address = Field(default_factory=lambda known: f"http://localhost:{known['listen_port']}")
    issuers: dict[Name, IssuerAccess] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, data: object) -> object:
        return with_secrets_read(cls, data)

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.mode == "production" and self.allow_tokens:
            raise expected("allow_tokens = false in production mode: bearer tokens are for the embedded stack only")
        if self.mode == "embedded" and not is_loopback(self.listen_host):
            raise expected("a loopback listen_host in embedded mode, such as 127.0.0.1")
        given = frozenset(name for name in self.model_fields_set if getattr(self, name) not in (None, {}))
        wrong = what_does_not_fit(self.half, given, database=self.database_url.get_secret_value())
        if wrong is not None:
            raise expected(wrong)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic-settings'; we read no .env
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - as above; secret files are named one by one
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put what a caller says before the environment, and that before the file that the environment names."""
        path = os.environ.get(FILE_VARIABLE)
        table = {} if path is None else _without_secrets(read_toml(Path(path)), path)
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=table)

    def document(self) -> dict[str, object]:
        """Return the non-secret part as plain JSON; of the database its kind and place, of a secret only that it is given."""
        address = urlsplit(self.database_url.get_secret_value())
        known = {name: plain(getattr(self, name)) for name in type(self).model_fields}
        known["database_url"] = f"{address.scheme}://{(address.netloc).rpartition('@')[2]}{address.path}"
        return known

    def digest(self) -> str:
        """Return the digest of the non-secret part, which the fact `broker.started` carries."""
        return digest("countersign/settings/v1", self.document())


def load_settings(**given: Any) -> Settings:  # noqa: ANN401 - each field's own type; pydantic judges them
    """Return the settings of this process; what is `given` goes before the environment, and that before the file.

    Raises:
        ConfigError: with everything that is wrong or unsafe; values are not shown.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = problems_of(error, model=Settings, source={}, show=False)
    except SettingsError:
        problems = [Problem(where=f"{PREFIX}… in the environment", expected="JSON in it", got="something else")]
    raise ConfigError(problems)


def _without_secrets(table: dict[str, Any], path: str) -> dict[str, Any]:
    """Refuse secrets that stand in the settings file itself."""
    places = [located(place, table) for place in _secrets_in(table, ())]
    if places:
        raise ConfigError(
            [
                Problem(where=f"{path} {place}", expected="no secret in this file (use the key with _file)", got="one")
                for place in places
            ]
        )
    return table


def _secrets_in(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _secrets_in(value, (*path, key))
        elif key in SECRET_KEYS:
            yield (*path, key)
