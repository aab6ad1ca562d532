"""A world in which approvals are signed: an authenticator for everybody who signs, and rules that ask for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.world import CATALOG, DIRECTORY, World, entitlement

from countersign.domain.passkey import Assertion, Passkey, review_challenge
from countersign.embedded.authenticator import SoftwareAuthenticator

RP_ID, ORIGIN = "localhost", "http://localhost:8440"
SIGNED = "orders-db-signed"
FOUNDERS = ("bob", "carol", "frank", "grace")


def authenticator(person: str) -> SoftwareAuthenticator:
    return SoftwareAuthenticator(person=person, rp_id=RP_ID, origin=ORIGIN)


@dataclass(frozen=True, kw_only=True)
class Signers:
    """The authenticators of those whose keys the genesis names."""

    keys: dict[str, SoftwareAuthenticator] = field(
        default_factory=lambda: {person: authenticator(person) for person in FOUNDERS}
    )

    def __getitem__(self, person: str) -> SoftwareAuthenticator:
        return self.keys[person]

    def trust(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - catalog values
        tables = [passkey_table(key.passkey()) for key in self.keys.values()]
        return {"signing": {"rp_id": RP_ID, "origins": [ORIGIN]} | changes, "passkey": tables}

    def catalog(self, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - catalog values
        return {
            **CATALOG,
            "trust": self.trust(**changes),
            "entitlement": [*CATALOG["entitlement"], entitlement(SIGNED, signature="required", draws=3)],
        }

    def approval(self, person: str, asked: Any, **changes: Any) -> Assertion:  # noqa: ANN401 - a request, or its answer
        """Sign an approval of a request, or of something near it."""
        said = {"request": asked["id"], "digest": asked["digest"], "decision": "approve", "approver": person}
        return self[person].sign(review_challenge(**{**said, **changes}))


def passkey_table(passkey: Passkey) -> dict[str, Any]:
    document = passkey.document()
    return {name: document[name] for name in ("person", "credential_id", "public_key", "vouches")}


__all__ = ["DIRECTORY", "FOUNDERS", "ORIGIN", "RP_ID", "SIGNED", "Signers", "World", "authenticator", "passkey_table"]
