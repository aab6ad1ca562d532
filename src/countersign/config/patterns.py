"""The pattern language of parameters: small enough that matching cannot be made slow and a pattern cannot surprise.

A pattern is a sequence of parts. A part is a literal character or a bracket class, once or with a bound `{n}` or `{m,n}`.
There is no `*`, `+`, `?`, group, alternation, anchor, negation or escape, and no bare dot: to a regular expression it would
mean "anything", so a dot stands in brackets. Parts of variable length are few, because each multiplies the ways to split a
text that does not match.
"""

from __future__ import annotations

import re

from countersign.domain.entitlement import LONGEST_PARAMETER

MOST_VARIABLE_PARTS = 3
LANGUAGE = (
    "literal characters A-Z a-z 0-9 _ / : @ = -, and bracket classes of these and the dot such as [a-z0-9_.-], each once or with "
    f"a bound {{n}} or {{m,n}}; at most {MOST_VARIABLE_PARTS} parts of variable length and {LONGEST_PARAMETER} characters in all"
)

_PART = re.compile(r"(?:[A-Za-z0-9_/:@=-]|\[([^\[\]]+)\])(?:\{(\d{1,3})(?:,(\d{1,3}))?\})?", re.ASCII)
_MEMBER = "(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9_./:@=])"
_CLASS = re.compile(f"-?{_MEMBER}+|{_MEMBER}*-", re.ASCII)
_RANGE = re.compile(r"([A-Za-z0-9])-([A-Za-z0-9])", re.ASCII)


def fault_of(pattern: str) -> str | None:
    """Return what is wrong with a pattern, or None if it is within the language."""
    if len(pattern) > LONGEST_PARAMETER:
        return f"a pattern of at most {LONGEST_PARAMETER} characters"
    position = longest = variable = 0
    while position < len(pattern):
        part = _PART.match(pattern, position)
        if part is None:
            return f"{LANGUAGE} (at character {position + 1})"
        content, low, high = part.groups()
        least = 1 if low is None else int(low)
        most = least if high is None else int(high)
        if most < max(least, 1):
            return f"a bound whose end is at least its start and 1 (at character {position + 1})"
        if content is not None and not _is_class(content):
            return f"a bracket class of single characters and rising ranges such as [a-z0-9_.-] (at character {position + 1})"
        longest += most
        variable += most > least
        position = part.end()
    if variable > MOST_VARIABLE_PARTS:
        return f"at most {MOST_VARIABLE_PARTS} parts of variable length"
    if not 1 <= longest <= LONGEST_PARAMETER:
        return f"a pattern for 1 to {LONGEST_PARAMETER} characters"
    return None


def _is_class(content: str) -> bool:
    return _CLASS.fullmatch(content) is not None and all(first <= last for first, last in _RANGE.findall(content))
