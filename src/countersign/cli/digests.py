"""A digest as people give it: whole, as its first digits, or as the short fingerprint that every channel shows.

A short form only says which digest is meant: the whole is computed here from what the broker shows, and that is what is signed.
"""

from __future__ import annotations

import re

from countersign.cli.failures import CommandFailed, usage
from countersign.domain.passkey import fingerprint

SHORTEST_PREFIX = 12
FORMS = f"The digest you were shown: whole, its first {SHORTEST_PREFIX} digits or more, or its fingerprint."

_WHOLE = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{12,64}")
_FINGERPRINT = re.compile(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}")


def is_whole(given: str) -> bool:
    """Say whether a text is a whole digest, so that nothing needs to be looked up to know which is meant."""
    return _WHOLE.fullmatch(given) is not None


def demand_form(given: str | None) -> None:
    """Refuse, before anybody is asked, what means no digest; None means that none was given.

    Raises:
        CommandFailed: it is none.
    """
    if given is not None and not (_PREFIX.fullmatch(given) or _FINGERPRINT.fullmatch(given.upper())):
        raise usage(
            f"a digest is given as {SHORTEST_PREFIX} to 64 lower-case hexadecimal digits, or as its fingerprint"
            " (ABCD-EFGH-IJKL-MNOP)",
            field="--digest",
        )


def demand_meant(given: str, whole: str, *, of: str, look: str) -> None:
    """Demand that a text in one of the forms means this digest.

    Args:
        given: what was typed.
        whole: the digest as it stands, in hexadecimal digits.
        of: whose digest it is.
        look: the command that shows it.

    Raises:
        CommandFailed: it means another.
    """
    if not (whole.startswith(given) or fingerprint(whole) == given.upper()):
        raise CommandFailed(
            f"{given} is not the digest of {of}, nor how it begins",
            code="wrong-digest",
            hint=f"read it again with: {look}",
        )
