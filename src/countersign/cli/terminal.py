"""What may be shown on a terminal: other people's words, without anything that could steer it or turn the reading order."""

from __future__ import annotations

import re
import unicodedata

_SEQUENCE = re.compile(
    r"""
      (?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?                        # control sequences: colours, cursor, erasing
    | (?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])                  # strings for the terminal itself, such as titles and links …
      (?:[^\x07\x1b\x9c])*(?:\x07|\x1b\\|\x9c)?                # … up to their end
    | \x1b[ -/]*[0-~]?                                         # every other escape
    """,
    re.VERBOSE,
)
_UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories: controls, formats (direction, zero width), surrogates, private, unassigned, line separators."""


def plain(text: str) -> str:
    """Return a text on one line, fit for a terminal: escape sequences and invisible characters are gone."""
    unescaped = _SEQUENCE.sub("", text)
    spaced = re.sub(r"[\t\n\r\v\f\x85\u2028\u2029]+", " ", unescaped)
    return "".join(char for char in spaced if unicodedata.category(char) not in _UNSHOWN)


def is_plain(text: str) -> bool:
    """Say whether `plain` would leave a text as it is."""
    return plain(text) == text


def shortened(text: str, width: int) -> str:
    """Return `plain` text of at most `width` characters."""
    shown = plain(text)
    return shown if len(shown) <= width else shown[: width - 1] + "…"
