"""Writes the embedded stack's first catalog and directory: who and what there is, whom they trust, and whose keys come first."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from string import Template

from countersign.embedded.authenticator import SoftwareAuthenticator
from countersign.embedded.founders import authenticators, trust_in
from countersign.embedded.provision_identity import ProvisionedIdentity

CATALOG, DIRECTORY = "catalog.toml", "directory.toml"
_ENTITLEMENT = "[[entitlement]]\n"


def write_first_rules(
    folder: Path, identity: ProvisionedIdentity, *, values: Mapping[str, str], signed: bool
) -> Mapping[str, SoftwareAuthenticator]:
    """Write both files into the stack's folder, and return the software authenticator of everybody who signs.

    Args:
        folder: the state of the stack.
        identity: the issuer at which people sign in.
        values: what is filled in: `postgres_port` and `reports_role`.
        signed: ask for signatures everywhere, on the rules too; an issuing half of its own believes no others.
    """
    keys = authenticators(folder, origin=identity.public_url)
    trust = identity.issuer() + trust_in(keys, origin=identity.public_url, signed_rules=signed)
    for name, tables in ((CATALOG, trust), (DIRECTORY, identity.principals())):
        text = resources.files("countersign.embedded").joinpath(name).read_text(encoding="utf-8")
        text = Template(text).safe_substitute(values) + tables
        (folder / name).write_text(_asking_for_signatures(text) if signed else text, encoding="utf-8")
    return keys


def _asking_for_signatures(text: str) -> str:
    before, *entitlements = text.split(_ENTITLEMENT)
    asking = (item if "\nsignature = " in item else f'signature = "required"\n{item}' for item in entitlements)
    return _ENTITLEMENT.join([before, *asking])
