"""The shape of `[trust.signing]` and `[[trust.passkey]]`: where passkeys are used, and the first of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from countersign.config.problems import expected
from countersign.config.table import Name, Table
from countersign.domain.passkey import NotASignature, Passkey, unbase64url


def _is_base64url(text: str) -> str:
    try:
        unbase64url(text)
    except NotASignature:
        raise expected("base64url without padding") from None
    return text


def _is_page(text: str) -> str:
    if text == "http://localhost" or text.startswith("http://localhost:"):
        return text
    if not text.startswith("https://") or text.count("/") != 2:  # noqa: PLR2004 - an origin has no path
        raise expected("an origin such as https://broker.example (plain http at localhost only)")
    return text


Base64Url = Annotated[str, Field(max_length=2048), AfterValidator(_is_base64url)]
Page = Annotated[str, Field(max_length=300), AfterValidator(_is_page)]


class SigningTable(Table):
    """`[trust.signing]`: where passkeys are used, and whether the rules themselves are signed."""

    rp_id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,252}$")]
    origins: Annotated[tuple[Page, ...], Field(strict=False, min_length=1, max_length=8)]
    signed_rules: bool = False


class PasskeyTable(Table):
    """`[[trust.passkey]]`: one of the first keys; `vouches` lets it speak for others' keys."""

    person: Name
    credential_id: Base64Url
    public_key: Base64Url
    vouches: bool = True


def stanza_of(passkey: Passkey, *, remark: str) -> str:
    """Return a key's `[[trust.passkey]]`, to stand in a catalog among the first keys, under a line of remark."""
    return (
        f"# {remark}\n"
        "[[trust.passkey]]\n"
        f'person = "{passkey.person}"\n'
        f'credential_id = "{passkey.credential_id}"\n'
        f'public_key = "{passkey.public_key}"\n'
        f"vouches = {str(passkey.vouches).lower()}\n"
    )
