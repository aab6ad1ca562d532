"""HTTP connections on which no wait outlasts a deadline, whatever a server does: drips single bytes, or falls silent."""

from __future__ import annotations

import io
import select
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any


class BoundedConnection(HTTPConnection):
    """A connection on which every wait ends at `until`, however slowly bytes arrive."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, monotonic: Callable[[], float]) -> None:
        """Keep what is needed; `connect` comes with the first request, and `until` is set before each."""
        super().__init__(host, port)
        self.until = 0.0
        self._tls = tls
        self._monotonic = monotonic

    def connect(self) -> None:
        """Open the connection before `until`."""
        plain = socket.create_connection((self.host, self.port), timeout=self._left())
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            plain.settimeout(self._left())
            plain = self._tls.wrap_socket(plain, server_hostname=self.host)
        self._plain = plain
        self.sock = _Bounded(plain, self._left)

    def is_quiet(self) -> bool:
        """Say whether an idle connection is still open: nothing to read, no end of file."""
        return self.sock is not None and not select.select([self._plain], [], [], 0)[0]

    def _left(self) -> float:
        left = self.until - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Bounded:
    """The part of a socket that http.client uses, with the remaining time set before every wait.

    http.client closes the socket of an answer that ends the connection before it reads the body; so closing waits for
    the reader, as with a plain socket.
    """

    def __init__(self, plain: socket.socket, left: Callable[[], float]) -> None:
        self._plain = plain
        self._left = left
        self._readers = 0
        self._closing = False

    def sendall(self, data: bytes) -> None:
        self._plain.settimeout(self._left())
        self._plain.sendall(data)

    def receive_into(self, buffer: Any) -> int:  # noqa: ANN401 -- the buffer protocol has no name in Python 3.11
        self._plain.settimeout(self._left())
        return self._plain.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def reader_done(self) -> None:
        self._readers -= 1
        if self._closing and self._readers <= 0:
            self._plain.close()

    def close(self) -> None:
        self._closing = True
        if self._readers <= 0:
            self._plain.close()


class _Reader(io.RawIOBase):
    def __init__(self, source: _Bounded) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 -- the buffer protocol has no name in Python 3.11
        return self._source.receive_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.reader_done()
