"""Keys that sign: the log's own and a witness's, held in memory, kept in a file that only its owner can read."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countersign.auditlog.note import (
    COSIGNATURE_V1,
    ED25519,
    CosignatureVerifier,
    Ed25519Verifier,
    Signature,
    Signer,
    cosigned_message,
    key_id,
    unbase64,
)

_PREFIX = "PRIVATE+KEY"


class KeyFileRefused(ValueError):
    """A key file that others can read, that is not ours, or that holds no key."""


class CannotSign(Exception):
    """The key cannot be used now; nothing was signed."""


class LogSigner(Signer, Protocol):
    """The log's own key, wherever it lives."""

    def verifier(self) -> Ed25519Verifier:
        """Return the public half; whoever keeps the key is not asked for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ed25519Signer:
    """An Ed25519 note key (type 0x01) in this process's memory."""

    name: str
    private_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> Ed25519Signer:
        """Return a signer with a fresh key.

        Raises:
            NotAKey: the name is empty or holds a space or a plus.
        """
        signer = cls(name=name, private_key=Ed25519PrivateKey.generate())
        signer.verifier()
        return signer

    @property
    def key_id(self) -> bytes:
        """As of the public key."""
        return self.verifier().key_id

    def verifier(self) -> Ed25519Verifier:
        """Return the public half."""
        raw = self.private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Ed25519Verifier(name=self.name, public_key=raw)

    def sign(self, text: bytes) -> bytes:
        """Return 64 bytes over the text."""
        return self.private_key.sign(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosigner:
    """A witness's key (type 0x04) in this process's memory."""

    name: str
    private_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> Cosigner:
        """Return a cosigner with a fresh key.

        Raises:
            NotAKey: the name is empty or holds a space or a plus.
        """
        cosigner = cls(name=name, private_key=Ed25519PrivateKey.generate())
        cosigner.verifier()
        return cosigner

    def verifier(self) -> CosignatureVerifier:
        """Return the public half."""
        raw = self.private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return CosignatureVerifier(name=self.name, public_key=raw)

    def cosign(self, text: bytes, at: int) -> Signature:
        """Return the cosignature/v1 over a checkpoint's text.

        Args:
            text: the note text, to its last newline.
            at: seconds since 1970, when the log was last seen to be this large.
        """
        signature = at.to_bytes(8, "big") + self.private_key.sign(cosigned_message(at, text))
        return Signature(name=self.name, key_id=self.verifier().key_id, signature=signature)


def create_key_file(path: Path, name: str) -> Ed25519Signer:
    """Make a log's key, write it to a new file of mode 0600 and return it.

    The file holds one line in the form that Go's note package writes for private keys.

    Raises:
        FileExistsError: there is something at the path; it is left alone.
        NotAKey: the name is empty or holds a space or a plus.
    """
    signer = Ed25519Signer.generate(name)
    _write_key(path, name, ED25519, signer.private_key)
    return signer


def create_cosigner_file(path: Path, name: str) -> Cosigner:
    """Make a witness's key, and write it as `create_key_file` does, as a key of type 0x04.

    Raises:
        FileExistsError: there is something at the path; it is left alone.
        NotAKey: the name is empty or holds a space or a plus.
    """
    cosigner = Cosigner.generate(name)
    _write_key(path, name, COSIGNATURE_V1, cosigner.private_key)
    return cosigner


def load_key_file(path: Path) -> Ed25519Signer:
    """Return the signer that `create_key_file` wrote.

    Raises:
        FileNotFoundError: no such file.
        KeyFileRefused: no plain file of this user, open to group or others, or no log's key in it.
    """
    name, private_key = _read_key(path, ED25519)
    return Ed25519Signer(name=name, private_key=private_key)


def load_cosigner_file(path: Path) -> Cosigner:
    """Return the cosigner that `create_cosigner_file` wrote.

    Raises:
        FileNotFoundError: no such file.
        KeyFileRefused: no plain file of this user, open to group or others, or no witness's key in it.
    """
    name, private_key = _read_key(path, COSIGNATURE_V1)
    return Cosigner(name=name, private_key=private_key)


def _write_key(path: Path, name: str, kind: int, private_key: Ed25519PrivateKey) -> None:
    shown_id = key_id(name, kind, private_key.public_key().public_bytes_raw()).hex()
    seed = base64.b64encode(bytes([kind]) + private_key.private_bytes_raw()).decode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"{_PREFIX}+{name}+{shown_id}+{seed}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def _read_key(path: Path, kind: int) -> tuple[str, Ed25519PrivateKey]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileRefused(f"{path} cannot be opened as a plain file") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise KeyFileRefused(f"{path} is not a plain file of this user")
        if found.st_mode & 0o077:
            raise KeyFileRefused(f"{path} is open to group or others; chmod 600 it, and consider the key lost")
        raw = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    return _read_line(raw, path, kind)


def _read_line(raw: bytes, path: Path, kind: int) -> tuple[str, Ed25519PrivateKey]:
    # Nothing of the content, and no cause that quotes it, may reach the error.
    refusal = KeyFileRefused(f"{path} holds no Ed25519 note key of type 0x{kind:02x}")
    try:
        text = raw.decode("utf-8")
        head, name, shown_id, encoded = text.removesuffix("\n").removeprefix(_PREFIX).split("+", 3)
        seed = unbase64(encoded)
        private_key = Ed25519PrivateKey.from_private_bytes(seed[1:])
        made_id = key_id(name, kind, private_key.public_key().public_bytes_raw()).hex()
        fits = not head and text.startswith(_PREFIX) and seed[0] == kind and made_id == shown_id
    except ValueError:
        raise refusal from None
    if not fits:
        raise refusal
    return name, private_key
