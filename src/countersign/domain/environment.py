"""What a target is part of, and the seal between production and everything else."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum


class Environment(StrEnum):
    """What the target is part of; production is sealed from everything else."""

    PRODUCTION = "production"
    STAGING = "staging"
    DEVELOPMENT = "development"


PRODUCTION_ONLY = frozenset({Environment.PRODUCTION})
"""What an account is for that says nothing: it reaches nothing outside production, and what is outside reaches nothing in it."""


def crosses_the_seal(environments: Collection[Environment]) -> bool:
    """Say whether these are on both sides: production, and something that is not."""
    return Environment.PRODUCTION in environments and bool(set(environments) - PRODUCTION_ONLY)
