"""A witness's own settings: which logs it vouches for, where it listens, and after how long a silence it raises an alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from countersign.auditlog.note import Ed25519Verifier, read_vkey
from countersign.config.logkeys import is_log_key, log_verifier
from countersign.config.problems import ConfigError, expected, problems_of
from countersign.config.tomlfile import read_toml


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LogTable(_Table):
    """One log.

    Attributes:
        keys: its public keys; more than one while it changes keys, all of one name.
        silence_s: seconds without a checkpoint that was cosigned, after which an alarm is raised.
    """

    keys: Annotated[list[Annotated[str, AfterValidator(is_log_key)]], Field(min_length=1, max_length=16)]
    silence_s: Annotated[int, Field(ge=5, le=31_536_000)] | None = None

    @model_validator(mode="after")
    def _is_one_log(self) -> Self:
        if len({read_vkey(key).name for key in self.keys}) > 1:
            raise expected("keys of one log: their names are its origin")
        return self

    def verifiers(self) -> list[Ed25519Verifier]:
        """Return the keys."""
        return [log_verifier(key) for key in self.keys]


class WitnessSettings(_Table):
    """What a witness must be told.

    Attributes:
        name: the witness's name, a schema-less URL; it stands in each of its signatures.
        key_path: its private key; made, with mode 0600, by `countersign witness key`.
        state_path: its memory, one SQLite file. Whoever puts back an older copy makes it forget: keep both on one disk.
        allowed_hosts: names by which it may be addressed, besides those of the loopback.
        log: the logs it vouches for.
    """

    schema_: Annotated[Literal[1], Field(alias="schema")]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$")]
    key_path: Annotated[Path, Field(strict=False)]
    state_path: Annotated[Path, Field(strict=False)]
    listen_host: str = "127.0.0.1"
    listen_port: Annotated[int, Field(ge=0, le=65535)] = 8441
    allowed_hosts: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]{1,253}$")]] = []
    log: Annotated[list[LogTable], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        names = [read_vkey(log.keys[0]).name for log in self.log]
        if len(set(names)) < len(names):
            raise expected("each log once")
        return self


def load_witness_settings(path: Path) -> WitnessSettings:
    """Return what a witness's TOML file says; relative paths in it start from its folder.

    Raises:
        ConfigError: with everything that is wrong with it.
    """
    source = read_toml(path)
    try:
        found = WitnessSettings.model_validate(source)
    except ValidationError as error:
        raise ConfigError(problems_of(error, model=WitnessSettings, source=source)) from None
    here = path.absolute().parent
    return found.model_copy(update={"key_path": here / found.key_path, "state_path": here / found.state_path})
