"""Credentials from Vault or OpenBao: database logins at PostgreSQL targets, and scoped tokens."""

from countersign.providers.vault.login import AppRole
from countersign.providers.vault.provider import VaultProvider

__all__ = ["AppRole", "VaultProvider"]
