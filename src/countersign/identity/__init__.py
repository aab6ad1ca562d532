"""What identity issuers say, fetched and verified: discovery, keys, tokens and the authorization code flow."""

from countersign.identity.flow import Answer, CodeFlow
from countersign.identity.kept import verify_kept
from countersign.identity.provider import IdentityProvider
from countersign.identity.tokens import Claims, TokenKind, verify

__all__ = ["Answer", "Claims", "CodeFlow", "IdentityProvider", "TokenKind", "verify", "verify_kept"]
