"""Reading a TOML file: bounded in size, refused with line and column, and without reading what is no plain file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from countersign.config.problems import ConfigError, Problem, shown

LARGEST_FILE = 1024 * 1024

_POSITION = re.compile(r"\s*\(at (line \d+, column \d+|end of document)\)$")


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file says.

    Raises:
        ConfigError: the file is missing, no plain file, larger than 1 MiB, not UTF-8 or not TOML.
    """
    try:
        if not path.is_file():
            raise _refused(path, "a file", "no such file" if not path.exists() else "something else")
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _refused(path, "a readable file", error.strerror or "an error while reading") from error
    if len(content) > LARGEST_FILE:
        raise _refused(path, f"at most {LARGEST_FILE} bytes", "more")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(path, "UTF-8", f"other bytes at byte {error.start}") from error
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise _refused(path, "tables and lists of a sane depth", "deeper nesting") from error
    except (
        ValueError
    ) as error:  # TOMLDecodeError, and the interpreter's own refusal of integers with thousands of digits
        said = str(error)
        at = _POSITION.search(said)
        where = f"{path.name} {at.group(1)}" if at else path.name
        got = _POSITION.sub("", said)[:120]
        raise ConfigError([Problem(where=where, expected="TOML", got=got if at else shown(got))]) from error


def _refused(path: Path, expected: str, got: str) -> ConfigError:
    return ConfigError([Problem(where=str(path), expected=expected, got=got)])
