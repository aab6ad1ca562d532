"""What `KEEP=1` needs to find its servers again: their ports and keys, in one file of mode 0600. Embedded stack only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.postgres import EmbeddedPostgres
from countersign.embedded.provision_identity import ProvisionedIdentity
from countersign.embedded.provision_vault import ProvisionedVault

FILE = "kept.json"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Ports and keys of an earlier run."""

    postgres_port: int
    postgres_password: str = field(repr=False)
    openbao_port: int
    unseal_key: str = field(repr=False)
    provisioned: Mapping[str, Any] = field(repr=False)

    def postgres(self, folder: Path) -> EmbeddedPostgres:
        """Return the PostgreSQL with its data."""
        return EmbeddedPostgres(folder / "postgres", port=self.postgres_port, password=self.postgres_password)

    def openbao(self, folder: Path) -> EmbeddedOpenBao:
        """Return the OpenBao with its state."""
        return EmbeddedOpenBao(folder / "openbao", port=self.openbao_port, unseal_key=self.unseal_key)

    def vault(self) -> ProvisionedVault:
        """Return what was provisioned then."""
        identity = ProvisionedIdentity(**self.provisioned["identity"])
        return ProvisionedVault(**{**self.provisioned, "identity": identity})


def read_kept(folder: Path) -> Kept | None:
    """Return what an earlier run kept, or None if none did."""
    try:
        return Kept(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def write_kept(folder: Path, postgres: EmbeddedPostgres, openbao: EmbeddedOpenBao, vault: ProvisionedVault) -> None:
    """Keep what the next run needs."""
    kept = Kept(
        postgres_port=postgres.port,
        postgres_password=str(conninfo_to_dict(postgres.dsn())["password"]),
        openbao_port=openbao.port,
        unseal_key=openbao.unseal_key,
        provisioned=asdict(vault),
    )
    descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(kept), file)
