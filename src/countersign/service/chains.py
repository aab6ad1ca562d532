"""The chain of what was signed, replayed from the log's facts within a transaction; each fact is checked once."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

import structlog

from countersign.auditlog.chain import TYPES, Chain, telling
from countersign.auditlog.keyring import Keyring
from countersign.auditlog.passkeys import BadSignature
from countersign.domain.passkey import Passkey
from countersign.store import Tx

logger = structlog.get_logger(__name__)

NO_KEYS = Keyring()


class ChainReader:
    """Makes the chain from the first keys, which the rules name, and every fact since."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._lock = Lock()
        self._kept: tuple[tuple[Passkey, ...], int, Chain] | None = None

    def current(self, tx: Tx, founders: tuple[Passkey, ...]) -> Chain:
        """Return the chain as this transaction sees the log.

        A fact that its signatures do not bear out changes nothing: somebody wrote it past the broker.
        """
        with self._lock:
            if self._kept is None or self._kept[0] != founders:
                self._kept = (founders, -1, Chain(keyring=_first(founders)))
            _, after, chain = self._kept
            for fact in tx.chain_facts(TYPES, after=after):
                after = fact.index
                try:
                    chain = chain.after(fact.type, fact.actor, fact.subject, fact.data)
                except BadSignature as bad:
                    logger.warning("a fact that its signatures do not bear out", index=after, code=bad.code)
                chain = replace(chain, told=telling(chain.told, fact.hash))
            self._kept = (founders, after, chain)
            return chain


def _first(founders: tuple[Passkey, ...]) -> Keyring:
    try:
        return NO_KEYS.founded(founders)
    except BadSignature as bad:
        logger.warning("the first passkeys are not usable; nobody can sign", code=bad.code)
        return NO_KEYS
