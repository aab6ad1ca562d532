"""Runs an AWS emulator that enforces IAM (`ministack`) on loopback, from its own virtual environment, for demos and tests."""

from __future__ import annotations

import http.client
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from countersign.embedded.processes import Child, NotReady, free_port, private_folder

PROGRAM_VARIABLE = "COUNTERSIGN_MINISTACK"
DEFAULT_PROGRAM = Path(".venv-ministack/bin/ministack")
ACCOUNT = "111122223333"
REGION = "us-east-1"


def program() -> Path:
    """Return the emulator's program: it pins a botocore of its own and so lives in its own virtual environment.

    Raises:
        NotReady: it is not there.
    """
    named = os.environ.get(PROGRAM_VARIABLE)
    checkout = Path(__file__).parents[3]
    for candidate in [Path(named)] if named else [DEFAULT_PROGRAM, checkout / DEFAULT_PROGRAM]:
        if candidate.is_file():
            return candidate.absolute()
    raise NotReady(f"ministack is not installed at {named or DEFAULT_PROGRAM}; set {PROGRAM_VARIABLE}")


@dataclass(kw_only=True)
class EmbeddedAws:
    """One emulator. Its state is in memory and gone when it stops.

    Attributes:
        folder: for its log and scratch files; made if need be, for our eyes only.
    """

    folder: Path
    admin_access_key_id: str = field(default_factory=lambda: "AKIA" + secrets.token_hex(8).upper())
    admin_secret_access_key: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    endpoint_url: str = field(default="", init=False)
    _child: Child | None = field(default=None, init=False, repr=False)

    def start(self) -> float:
        """Start the emulator and return the seconds until it was ready.

        Raises:
            NotReady: it did not come up.
        """
        folder = private_folder(self.folder)
        port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self._child = Child(
            name="ministack",
            command=[str(program())],
            log=folder / "ministack.log",
            environment={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "S3_DATA_DIR": str(folder / "s3"),
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(port),
                "AUTH": "true",
                "SERVICES": "iam,sts,s3,ec2",
                "LOG_LEVEL": "WARNING",
                "MINISTACK_ACCOUNT_ID": ACCOUNT,
                "MINISTACK_REGION": REGION,
                "AWS_ACCESS_KEY_ID": self.admin_access_key_id,
                "AWS_SECRET_ACCESS_KEY": self.admin_secret_access_key,
            },
        )
        self._child.start()
        return self._child.wait_until(self._answers)

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return None if self._child is None else self._child.pid

    def stop(self) -> None:
        """Stop the emulator; idempotent."""
        if self._child is not None:
            self._child.stop(within_s=3.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.endpoint_url).port or 0, timeout=1.0)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
