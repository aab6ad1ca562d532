"""Reading a secret that lies in a file of its own, refused when others could read or replace it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pydantic import SecretStr

from countersign.config.problems import ConfigError, Problem

LARGEST_SECRET = 16 * 1024
OPEN_TO_OTHERS = stat.S_IRWXO | stat.S_IWGRP
"""Any right of the world, and the group's right to write; a group may read, as mounted secrets often need."""


def read_secret(path: Path) -> SecretStr:
    """Return the text of a secret file without its last line feed.

    Raises:
        ConfigError: the file is missing, no plain file, open to others, empty, too large or not UTF-8. Its content is not shown.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as stream:
            # Judged by the descriptor that is read, not by the name, which may lead elsewhere a moment later.
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _refused(path, "a plain file", "something else")
            if status.st_mode & OPEN_TO_OTHERS:
                mode = stat.S_IMODE(status.st_mode)
                raise _refused(path, "a secret file closed to others (chmod 600)", f"mode {mode:04o}")
            content = stream.read(LARGEST_SECRET + 1)
    except OSError as error:
        raise _refused(path, "a readable secret file", error.strerror or "an error") from None
    if not 0 < len(content.strip()) <= LARGEST_SECRET:
        raise _refused(path, f"a secret of 1 to {LARGEST_SECRET} bytes", "more" if content.strip() else "nothing")
    try:
        return SecretStr(content.decode("utf-8").removesuffix("\n").removesuffix("\r"))
    except UnicodeDecodeError:
        raise _refused(path, "UTF-8", "other bytes") from None


def _open_without_waiting(name: str, flags: int) -> int:
    """Open a file so that a named pipe cannot hold up the start."""
    return os.open(name, flags | os.O_NONBLOCK)


def _refused(path: Path, expected: str, got: str) -> ConfigError:
    return ConfigError([Problem(where=str(path), expected=expected, got=got)])
