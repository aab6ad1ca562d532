"""compose.yaml: parsed and held against the program's own settings and commands; that it says what docs/halves.md promises of it.

No container engine is at hand here. The two halves are started as it says, as processes, in tests/embedded/test_two_halves.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import hvac
import pytest
import yaml  # type: ignore[import-untyped]  # no stubs are among the locked packages
from requests.exceptions import RequestException
from tests.receivers import certificate

from countersign.cli.main import countersign as program
from countersign.config.halves import OF_PROVIDERS, Half
from countersign.config.problems import ConfigError
from countersign.config.settings import PREFIX, Settings, load_settings
from countersign.embedded.openbao import binary
from countersign.embedded.processes import Child, free_port

ROOT = Path(__file__).parents[1]
HOST = "countersign.example.com"
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")
HALVES = ("people", "issuer")
SECRETS = {
    "database-url": "postgresql://somebody:x@postgres/countersign",
    "orders-db-dsn": "host=orders-db dbname=orders user=countersign_broker password=x",
}


def composed(**given: str) -> dict[str, Any]:
    """Return the file as an engine reads it: variables filled in, anchors resolved."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if name in given:
            return given[name]
        assert kind == "-", f"{name} has no default and is not given"
        return rest

    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, text))
    return read


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return composed(COUNTERSIGN_HOST=HOST)


def services(compose: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def networks(compose: Mapping[str, Any], name: str) -> set[str]:
    """Return the networks that a service is in, also by sharing another's."""
    service = services(compose)[name]
    shared = service.get("network_mode", "")
    if shared.startswith("service:"):
        assert "networks" not in service
        return networks(compose, shared.removeprefix("service:"))
    return set(service["networks"])


def secrets(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets that a service is given: where each is mounted, and which it is."""
    listed = [each if isinstance(each, dict) else {"source": each} for each in service.get("secrets", [])]
    return {str(each.get("target", each["source"])): str(each["source"]) for each in listed}


def test_the_host_has_to_be_named_and_everything_else_has_a_default() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert {name for name, kind, _ in VARIABLE.findall(text) if kind == "?"} == {"COUNTERSIGN_HOST"}
    composed(COUNTERSIGN_HOST=HOST)


def test_everything_that_is_named_is_declared_and_everything_declared_is_used(compose: dict[str, Any]) -> None:
    each = services(compose).values()
    used = {source for service in each for source in secrets(service).values()}
    assert used == set(compose["secrets"])
    joined = {network for name in services(compose) for network in networks(compose, name)}
    assert joined == set(compose["networks"])
    mounts = [mount.split(":")[0] for service in each for mount in service.get("volumes", [])]
    assert {mount for mount in mounts if not mount.startswith(".")} == set(compose["volumes"])
    assert all((ROOT / mount).exists() for mount in mounts if mount.startswith("./compose/"))
    for service in each:
        assert set(service.get("depends_on", {})) <= set(services(compose))


def test_one_port_is_published_and_it_leads_to_the_half_that_faces_people(compose: dict[str, Any]) -> None:
    published = [name for name, service in services(compose).items() if service.get("ports")]
    assert published == ["proxy"]
    assert services(compose)["people"]["network_mode"] == "service:proxy"
    proxied = (ROOT / "compose" / "Caddyfile").read_text(encoding="utf-8")
    assert f"reverse_proxy 127.0.0.1:{Settings.model_fields['listen_port'].default}" in proxied
    assert not any("edge" in networks(compose, name) for name in services(compose) if name not in {"proxy", "people"})


def test_openbao_and_what_opens_anything_there_at_aws_or_at_a_target_is_the_issuing_halfs_alone(
    compose: dict[str, Any],
) -> None:
    inside = {name for name in services(compose) if {"vault", "providers"} & networks(compose, name)}
    assert inside == {"issuer", "openbao"}
    opening = {"openbao-role-id", "openbao-secret-id", "orders-db-dsn", "aws-config"}
    holders = {name: set(secrets(service).values()) for name, service in services(compose).items()}
    assert opening <= holders["issuer"]
    assert not any(opening & held for name, held in holders.items() if name != "issuer")
    # What the half that faces people is given is one login at the database, and not the other half's.
    assert holders["people"] == {"people-database-url"}
    assert holders["issuer"] & holders["people"] == set()
    states = [
        mount.split(":")[0]
        for name in HALVES
        for mount in services(compose)[name]["volumes"]
        if mount.endswith("/var/lib/countersign")
    ]
    assert states == ["people-state", "issuer-state"], "the log's key lies in the one and not in the other"


@pytest.mark.parametrize("name", [*HALVES, "prepare"])
def test_what_is_ours_runs_as_the_images_user_on_a_read_only_root_without_capabilities(
    compose: dict[str, Any], name: str
) -> None:
    service = services(compose)[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["image"] == services(compose)["people"]["image"], "one image runs them all"


@pytest.mark.parametrize("name", [*HALVES, "prepare"])
def test_the_command_is_one_of_the_program(compose: dict[str, Any], name: str) -> None:
    words: list[str] = services(compose)[name]["command"]
    command: click.Command = program
    context = click.Context(program)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, shlex.join(words)
        command, words = found, words[1:]
    command.make_context("compose", list(words)).close()


def settings_of(
    compose: dict[str, Any], name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: str
) -> Settings:
    """Load the settings of a service as its container would, with its secrets in a folder of the test."""
    service = services(compose)[name]
    for variable in [variable for variable in os.environ if variable.startswith(PREFIX)]:
        monkeypatch.delenv(variable)
    for target in secrets(service):
        path = folder / target
        path.unlink(missing_ok=True)
        path.write_text(SECRETS.get(target, "x-1"), encoding="utf-8")
        path.chmod(stat.S_IRUSR)
    image = {f"{PREFIX}STATE_DIR": str(folder / "state")}
    for variable, value in {**image, **service["environment"], **more}.items():
        if variable.startswith(PREFIX):
            monkeypatch.setenv(variable, str(value).replace("/run/secrets", str(folder)))
    return load_settings()


@pytest.mark.parametrize("name", HALVES)
def test_the_environment_of_each_half_is_one_with_which_it_starts(
    compose: dict[str, Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(compose, name, tmp_path, monkeypatch)
    assert settings.half is Half(name)
    assert settings.mode == "production"
    assert settings.listen_host == "127.0.0.1"
    given = {field for field in OF_PROVIDERS if getattr(settings, field) and field in settings.model_fields_set}
    assert given == (set() if name == "people" else {"openbao", "aws", "targets"})


def test_both_halves_mean_the_same_region(
    compose: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = settings_of(compose, "people", tmp_path, monkeypatch)
    issuer = settings_of(compose, "issuer", tmp_path, monkeypatch)
    assert issuer.aws is not None
    assert people.aws_region == issuer.aws.region, "or the preview would show another place than the one that is meant"


def test_the_secrets_that_settings_name_are_the_ones_that_are_mounted(compose: dict[str, Any]) -> None:
    for name in (*HALVES, "prepare"):
        service = services(compose)[name]
        named = set(re.findall(r"/run/secrets/([a-z-]+)", json.dumps(service["environment"])))
        assert named == set(secrets(service)), name


def test_swapping_the_halves_names_is_refused_before_anything_starts(
    compose: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="issuer half alone"):
        settings_of(compose, "issuer", tmp_path, monkeypatch, COUNTERSIGN_HALF="people")


def test_the_database_is_prepared_for_the_logins_that_its_first_start_makes(compose: dict[str, Any]) -> None:
    command = services(compose)["prepare"]["command"]
    named = {command[command.index(f"--{half}") + 1] for half in HALVES}
    made = (ROOT / "compose" / "roles.sh").read_text(encoding="utf-8")
    assert "CREATE ROLE countersign_$half" in made
    assert re.search(r"for half in (.*);", made) is not None
    assert named == {f"countersign_{half}" for half in HALVES}
    assert services(compose)["issuer"]["depends_on"]["prepare"] == {"condition": "service_completed_successfully"}


def test_openbao_starts_with_its_configuration_keeps_its_state_and_audits_from_the_first_call(tmp_path: Path) -> None:
    """The one server whose configuration we write is started with it; only addresses and folders are the test's."""
    port, cluster = free_port(), free_port()
    certificate(tmp_path, "openbao")
    text = (ROOT / "compose" / "openbao.hcl").read_text(encoding="utf-8")
    here = {
        "0.0.0.0:8200": f"127.0.0.1:{port}",
        "0.0.0.0:8201": f"127.0.0.1:{cluster}",
        "https://openbao:8200": f"https://127.0.0.1:{port}",
        "https://openbao:8201": f"https://127.0.0.1:{cluster}",
        "/run/secrets/openbao-certificate": str(tmp_path / "certificate.pem"),
        "/run/secrets/openbao-key": str(tmp_path / "key.pem"),
        "/var/lib/openbao": str(tmp_path / "data"),
        "/var/log/openbao": str(tmp_path),
    }
    for said, meant in here.items():
        assert said in text
        text = text.replace(said, meant)
    (tmp_path / "openbao.hcl").write_text(text, encoding="utf-8")
    (tmp_path / "data").mkdir()
    server = Child(
        name="openbao",
        command=[str(binary()), "server", f"-config={tmp_path / 'openbao.hcl'}"],
        log=tmp_path / "openbao.log",
        environment={"PATH": os.defpath, "HOME": str(tmp_path)},
    )
    client = hvac.Client(f"https://127.0.0.1:{port}", verify=str(tmp_path / "certificate.pem"), timeout=20)

    def listens() -> bool:
        try:
            return not client.sys.is_initialized()
        except RequestException:
            return False

    server.start()
    try:
        server.wait_until(listens)
        made = client.sys.initialize(secret_shares=1, secret_threshold=1)
        client.sys.submit_unseal_key(made["keys"][0])
        client.token = made["root_token"]
        server.wait_until(lambda: bool(client.sys.read_leader_status()["is_self"]))
        assert client.sys.read_seal_status()["storage_type"] == "raft"
        assert list(client.sys.list_enabled_audit_devices()["data"]) == ["main/"]
        assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o640
        assert (tmp_path / "data" / "vault.db").exists()
    finally:
        server.kill()
