"""The first passkeys of the embedded stack: software ones, in files of mode 0600, for all who sign there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from countersign.config.signing_file import stanza_of
from countersign.embedded.authenticator import SoftwareAuthenticator
from countersign.embedded.processes import private_folder

FOUNDERS = ("bob", "carol", "frank", "grace")
RP_ID = "localhost"
FOLDER = "passkeys"


def authenticators(folder: Path, *, origin: str) -> Mapping[str, SoftwareAuthenticator]:
    """Return everybody's authenticator by person, made anew where an earlier run did not keep it.

    Args:
        folder: the state of the stack.
        origin: the page at which they sign.
    """
    kept = private_folder(folder / FOLDER)
    found: dict[str, SoftwareAuthenticator] = {}
    for person in FOUNDERS:
        path = kept / f"{person}.json"
        if not path.exists():
            SoftwareAuthenticator(person=person, rp_id=RP_ID, origin=origin).write(path)
        found[person] = SoftwareAuthenticator.load(path)
    return found


def trust_in(keys: Mapping[str, SoftwareAuthenticator], *, origin: str, signed_rules: bool = False) -> str:
    """Return `[trust.signing]` and every `[[trust.passkey]]`, to stand in the catalog."""
    asked = "signed_rules = true\n" if signed_rules else ""
    stanzas = [
        stanza_of(key.passkey(), remark=f"{person}'s, in {FOLDER}/{person}.json") for person, key in keys.items()
    ]
    return "\n".join([f'\n[trust.signing]\nrp_id = "{RP_ID}"\norigins = ["{origin}"]\n{asked}', *stanzas])
