"""Finds the policy documents: one source for what terraform installs and what the embedded stack loads.

In an installed package they lie under `countersign/policies`; in a checkout under `terraform/modules`.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

_SAFE = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z]+)*")


def document(module: str, name: str) -> str:
    """Return the text of one policy document.

    Args:
        module: the terraform module, such as `vault`.
        name: the file's name inside the module's `policies` folder, such as `broker.hcl`.

    Raises:
        FileNotFoundError: there is no such document.
    """
    for part in (module, name):
        if _SAFE.fullmatch(part) is None:
            raise FileNotFoundError(f"{part!r} names no policy document")
    installed = resources.files("countersign") / "policies" / module / "policies" / name
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    checkout = Path(__file__).parents[3] / "terraform" / "modules" / module / "policies" / name
    return checkout.read_text(encoding="utf-8")
