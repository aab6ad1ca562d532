"""A web sign-in that waits for its browser to come back: all of it is kept by that browser, and nothing by the broker.

Whoever knocks therefore makes the broker write nothing. That a browser could change what it keeps is no matter: it would only
spoil, or lengthen by minutes, its own sign-in; the state that comes back is derived from the secret and the issuer.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

from countersign.domain.ids import is_name
from countersign.identity.flow import is_own_path

PARTS = 4
LONGEST = 1024
SECRET_LETTERS = 52


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What a browser keeps of its sign-in.

    Attributes:
        secret: from which state, nonce and code verifier are derived.
        return_to: where it wants to go afterwards, a path of this site.
    """

    secret: str
    issuer: str
    begun_at: datetime
    return_to: str

    def __repr__(self) -> str:
        return f"Waiting({self.issuer})"

    def spelled(self) -> str:
        """Return it as a cookie's value."""
        path = base64.urlsafe_b64encode(self.return_to.encode()).decode().rstrip("=")
        return "~".join((self.secret, self.issuer, str(int(self.begun_at.timestamp())), path))


def read_waiting(unverified: str) -> Waiting | None:
    """Return what a cookie's value spells, None if it is none."""
    parts = unverified.split("~") if len(unverified) <= LONGEST and unverified.isascii() else []
    if len(parts) != PARTS or len(parts[0]) != SECRET_LETTERS or not parts[0].isalnum() or not is_name(parts[1]):
        return None
    try:
        begun_at = datetime.fromtimestamp(int(parts[2]), UTC)
        return_to = base64.urlsafe_b64decode(parts[3] + "=" * (-len(parts[3]) % 4)).decode("ascii")
    except (ValueError, OverflowError, OSError, binascii.Error):
        return None
    if not is_own_path(return_to):
        return None
    return Waiting(secret=parts[0], issuer=parts[1], begun_at=begun_at, return_to=return_to)
