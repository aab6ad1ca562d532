"""What a signed-in command line keeps, per broker: in the system's keyring where there is one, else in a file of mode 0600."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from countersign.cli.failures import CommandFailed, Exit

SERVICE = "countersign"
HOME_VARIABLE = "COUNTERSIGN_HOME"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A session's secrets.

    Attributes:
        access_until: seconds since 1970 until which the access token is used.
        device_key: the private half of the device key that the sign-in bound to the person; base64url.
        ends_at: when the session ends, as the broker spelled it.
        next_refresh_token: the one after `refresh_token`, while it is not known whether the broker has heard of it.
    """

    url: str
    session: str
    person: str
    access_token: str = field(repr=False)
    access_until: float
    refresh_token: str = field(repr=False)
    device_key: str = field(repr=False)
    ends_at: str
    next_refresh_token: str | None = field(default=None, repr=False)


def load(url: str) -> Kept | None:
    """Return what is kept of a broker; None if nobody is signed in there."""
    ring = _keyring()
    text = _read(_file(url)) if ring is None else ring.get_password(SERVICE, url)
    if text is None:
        return None
    try:
        kept = Kept(**json.loads(text))
    except (ValueError, TypeError):
        return None
    return kept if kept.url == url else None


def save(kept: Kept) -> None:
    """Keep a session in place of the one before."""
    ring, text = _keyring(), json.dumps(asdict(kept))
    if ring is None:
        _write(_file(kept.url), text)
    else:
        ring.set_password(SERVICE, kept.url, text)


def forget(url: str) -> None:
    """Keep nothing of a broker."""
    ring = _keyring()
    if ring is not None and ring.get_password(SERVICE, url) is not None:
        ring.delete_password(SERVICE, url)
    _file(url).unlink(missing_ok=True)


@contextmanager
def alone(url: str) -> Iterator[None]:
    """Keep other commands from renewing the same session at the same moment: a refresh token is good once."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / f"{_name(url)}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _folder() -> Path:
    named = os.environ.get(HOME_VARIABLE)
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "countersign"


def _name(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:24]


def _file(url: str) -> Path:
    return _folder() / f"{_name(url)}.json"


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise CommandFailed(
                    f"{path} is open to others; chmod 600 it, or sign in again",
                    exit_code=Exit.NOT_SIGNED_IN,
                    code="unauthenticated",
                )
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(
            f"{path} cannot be read ({type(error).__name__})", exit_code=Exit.NOT_SIGNED_IN, code="unauthenticated"
        ) from None


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _keyring() -> Any:  # noqa: ANN401 - the keyring package is not a dependency, and is used where somebody installed it
    """Return the system's keyring if one works here; `COUNTERSIGN_HOME` asks for files."""
    if os.environ.get(HOME_VARIABLE):
        return None
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return None
    return keyring if getattr(keyring.get_keyring(), "priority", 0) >= 1 else None
