"""The log's own key: held in memory, kept in a file that only its owner can read."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countersign.auditlog.note import ED25519, Ed25519Verifier, unbase64

_PREFIX = "PRIVATE+KEY"


class KeyFileRefused(ValueError):
    """A key file that others can read, that is not ours, or that holds no key."""


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


def create_key_file(path: Path, name: str) -> Ed25519Signer:
    """Make a key, write it to a new file of mode 0600 and return it.

    The file holds one line in the form that Go's note package writes for private keys.

    Raises:
        FileExistsError: there is something at the path; it is left alone.
        NotAKey: the name is empty or holds a space or a plus.
    """
    signer = Ed25519Signer.generate(name)
    seed = bytes([ED25519]) + signer.private_key.private_bytes_raw()
    line = f"{_PREFIX}+{name}+{signer.key_id.hex()}+{base64.b64encode(seed).decode()}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())
    return signer


def load_key_file(path: Path) -> Ed25519Signer:
    """Return the signer that `create_key_file` wrote.

    Raises:
        FileNotFoundError: no such file.
        KeyFileRefused: no plain file of this user, open to group or others, or no key in it.
    """
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
    return _read_line(raw, path)


def _read_line(raw: bytes, path: Path) -> Ed25519Signer:
    # Nothing of the content, and no cause that quotes it, may reach the error.
    refusal = KeyFileRefused(f"{path} holds no Ed25519 note key")
    try:
        text = raw.decode("utf-8")
        head, name, shown_id, encoded = text.removesuffix("\n").removeprefix(_PREFIX).split("+", 3)
        seed = unbase64(encoded)
        signer = Ed25519Signer(name=name, private_key=Ed25519PrivateKey.from_private_bytes(seed[1:]))
        fits = not head and text.startswith(_PREFIX) and seed[0] == ED25519 and signer.key_id.hex() == shown_id
    except ValueError:
        raise refusal from None
    if not fits:
        raise refusal
    return signer
