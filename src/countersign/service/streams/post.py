"""Posting to a receiver: to the judged address and no other, no redirects, no proxies, and one deadline for each exchange."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self

from countersign.service.streams.destination import Destination, Forbidden, Resolver

EXCHANGE_S = 8.0
"""How long connecting, sending and the answer may take together, however slowly a receiver drips."""
CONNECT_S = 3.0
LARGEST_ANSWER = 64 * 1024


class Undelivered(Exception):
    """A receiver that did not take it. The message holds neither path nor content."""


class _Pinned(HTTPConnection):
    """A connection to addresses that were judged, which still names the host that was meant."""

    def __init__(self, destination: Destination, *, addresses: Sequence[str], context: ssl.SSLContext | None) -> None:
        super().__init__(destination.host, destination.port, timeout=CONNECT_S)
        self._addresses = addresses
        self._context = context

    def connect(self) -> None:
        """Connect to the first pinned address that answers; the certificate must be the host's."""
        self.sock = self._reached()
        if self._context is not None:
            # The handshake comes once `sock` is set, so that whoever drips it can be cut off.
            secured = self._context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = secured
            secured.do_handshake()
        self.sock.settimeout(EXCHANGE_S)

    def _reached(self) -> socket.socket:
        *others, last = self._addresses
        for address in others:
            try:
                return socket.create_connection((address, self.port), timeout=CONNECT_S)
            except OSError:
                continue
        return socket.create_connection((last, self.port), timeout=CONNECT_S)


class Line:
    """A connection to one receiver for a few posts in a row; closed at the end of the block.

    Args:
        destination: where to.
        context: how the receiver is known; the system's authorities unless given. Unused without TLS.
        resolve: how its name is looked up.
    """

    def __init__(
        self, destination: Destination, *, context: ssl.SSLContext | None = None, resolve: Resolver | None = None
    ) -> None:
        self._destination = destination
        self._context = (context or ssl.create_default_context()) if destination.is_secure else None
        self._resolve = resolve
        self._connection: _Pinned | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a body once, and return the status of an answer that says it was taken.

        Raises:
            Undelivered: anything else.
        """
        try:
            with self._within(EXCHANGE_S) as connection:
                connection.request("POST", self._destination.path, body=body, headers=dict(headers))
                answer = connection.getresponse()
                rest = answer.read(LARGEST_ANSWER + 1)
        except Forbidden as forbidden:
            raise Undelivered(str(forbidden)) from forbidden
        except (OSError, HTTPException, ValueError) as error:
            self._close()
            raise Undelivered(f"{self._destination.host}: {_named(error)}") from error
        if answer.will_close or len(rest) > LARGEST_ANSWER:
            self._close()
        if 200 <= answer.status < 300:  # noqa: PLR2004 - the statuses that mean success
            return answer.status
        self._close()
        moved = ", and redirects are not followed" if 300 <= answer.status < 400 else ""  # noqa: PLR2004 - the redirects
        raise Undelivered(f"{self._destination.host} answered {answer.status}{moved}")

    @contextmanager
    def _within(self, seconds: float) -> Iterator[_Pinned]:
        """Give the connection for so long; then it is cut, in whatever it is stuck."""
        late = threading.Event()

        def cut() -> None:
            late.set()
            sock = connection.sock
            if sock is not None:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    return  # it is cut already

        connection = self._connected()
        timer = threading.Timer(seconds, cut)
        timer.start()
        try:
            yield connection
            if late.is_set():
                raise TimeoutError
        except (OSError, HTTPException, ValueError) as error:
            raise TimeoutError if late.is_set() else error from None
        finally:
            timer.cancel()

    def _connected(self) -> _Pinned:
        if self._connection is None:
            addresses = self._destination.pinned(self._resolve)
            self._connection = _Pinned(self._destination, addresses=addresses, context=self._context)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _named(error: Exception) -> str:
    """Return what went wrong in words of ours: what the other side said may be anything."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return "its certificate is not the host's, or nobody we know vouches for it"
        case ssl.SSLError():
            return "TLS failed"
        case ConnectionRefusedError():
            return "connection refused"
        case _:
            return f"the connection failed ({type(error).__name__})"
