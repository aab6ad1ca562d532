"""Both halves from one image, with the environment and the secrets that compose.yaml gives each, beside real servers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import psycopg
import pytest
from psycopg import sql
from tests.embedded.test_two_halves import listening
from tests.servers import Stack, running_stack
from tests.test_compose import HOST, composed, secrets, services
from tests.test_container import UID, Image, fields, for_real, free_port, image, innermost, started, status, stop

from countersign.config.catalog import load_catalog
from countersign.config.directory import load_directory
from countersign.domain.proposal import genesis_digest

__all__ = ["image"]

ROLES = {"owner": "countersign_owner", "people": "countersign_people", "issuer": "countersign_issuer"}
SERVED = {"prepare": "owner", "people": "people", "issuer": "issuer"}
ROLE = "arn:aws:iam::111122223333:role/countersign-target-reports"


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What compose.yaml says, where the servers are those of the test and everything is on one loopback."""

    image: Image
    container: str
    folder: Path
    environment: Mapping[str, str]
    port: int

    def command(self, service: str, *program: str) -> list[str]:
        """Return what runs a program (the service's own command unless given) in the service's container."""
        said = services(composed(COUNTERSIGN_HOST=HOST))[service]
        config = self.image.config
        told = {**said["environment"], **self.environment, "COUNTERSIGN_LISTEN_PORT": str(self.port)}
        if service != "issuer":
            told = {name: value for name, value in told.items() if name != "COUNTERSIGN_OPENBAO"}
        state = self.folder / f"state-{service}"
        if not state.exists():
            state.mkdir(mode=0o700)
            os.chown(state, UID, UID)
        mounts = [f"{self.folder / 'etc'}:/etc/countersign:ro", f"{self.folder / service}:/run/secrets:ro"]
        mounts.append(f"{state}:{next(iter(config['Volumes']))}")
        run = self.image.command("run", "--isolation", "chroot", *(f"--volume={mount}" for mount in mounts))
        # The emulator of AWS is left out; the profiles are tried in tests/providers/aws/test_broker_module.py.
        run += [f"--env={name}={value}" for name, value in told.items() if name != "COUNTERSIGN_AWS"]
        return [*run, self.container, "--", *(program or (*config["Entrypoint"], *said["command"]))]


@contextmanager
def composition(image: Image, servers: Stack, folder: Path) -> Iterator[Composition]:
    passwords = {role: f"{role}-password" for role in ROLES.values()}
    with psycopg.connect(servers.postgres.dsn(), autocommit=True) as connection:
        for role, password in passwords.items():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), password))
        connection.execute("CREATE DATABASE countersign OWNER countersign_owner")
    etc = folder / "etc"
    etc.mkdir()
    for name in ("catalog.toml", "directory.toml"):
        text = resources.files("countersign.embedded").joinpath(name).read_text(encoding="utf-8")
        text = re.split(r'\[\[entitlement\]\]\nid = "reports-read"', text)[0]
        text = re.sub(r'\[\[target\]\]\nid = "reports-account".*?(?=\n# One approver)', "", text, flags=re.DOTALL)
        (etc / name).write_text(Template(text).safe_substitute(postgres_port=str(servers.postgres.port)))
    for service in SERVED:
        place = folder / service
        place.mkdir()
        said = services(composed(COUNTERSIGN_HOST=HOST))[service]
        role = ROLES[SERVED[service]]
        known = {
            "database-url": f"postgresql://{role}:{passwords[role]}@127.0.0.1:{servers.postgres.port}/countersign",
            "openbao-role-id": servers.vault.role_id,
            "openbao-secret-id": servers.vault.secret_id,
            "orders-db-dsn": servers.vault.target_dsn,
            "aws-config": "",
        }
        for target in secrets(said):
            (place / target).write_text(known[target])
            (place / target).chmod(0o400)
            os.chown(place / target, UID, UID)
    catalog, directory = load_catalog(etc / "catalog.toml")[1], load_directory(etc / "directory.toml")[1]
    openbao = {"addr": servers.vault.address, "role_id_file": "/run/secrets/openbao-role-id"}
    environment = {
        "COUNTERSIGN_GENESIS": genesis_digest(catalog=catalog.digest, directory=directory.digest),
        "COUNTERSIGN_OPENBAO": json.dumps({**openbao, "secret_id_file": "/run/secrets/openbao-secret-id"}),
    }
    with image.container() as container:
        yield Composition(image=image, container=container, folder=folder, environment=environment, port=free_port())


def done(command: list[str], *, within_s: float = 60) -> int:
    return subprocess.run(command, capture_output=True, check=False, timeout=within_s).returncode


@for_real
@pytest.mark.slow
def test_one_image_prepares_the_database_and_runs_either_half_as_compose_says(image: Image, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with running_stack(tmp_path) as servers, composition(image, servers, tmp_path) as made:
        health = image.config["Healthcheck"]["Test"][1:]
        assert done(made.command("prepare")) == 0
        with started(made.command("issuer")) as issuer:
            end = time.monotonic() + 60
            while done(made.command("issuer", *health)) != 0:
                assert issuer.poll() is None, issuer.communicate()
                assert time.monotonic() < end
            assert listening(innermost(issuer.pid)) == set()
            with started(made.command("people")) as people:
                end = time.monotonic() + 60
                while done(made.command("people", *health)) != 0:
                    assert people.poll() is None, people.communicate()
                    assert time.monotonic() < end
                assert status(made.port, "/readyz") == 200
                for process in (issuer, people):
                    seen = fields(innermost(process.pid))
                    assert set(seen["Uid"].split()) == set(seen["Gid"].split()) == {str(UID)}
                    assert int(seen["CapEff"], 16) == 0
                told = Path(f"/proc/{innermost(people.pid)}/environ").read_bytes()
                assert b"openbao" not in told.lower()
                stop(issuer)
                assert status(made.port, "/readyz") == 200, "people go on"
                assert done(made.command("issuer", *health)) != 0
                stop(people)
