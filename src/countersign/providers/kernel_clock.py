"""What this machine's kernel says of its own clock: whether something keeps it right, and how wrong it may be."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

_TIME_ERROR = 5
_MAXERROR_AT = 24
_TIMEX_BYTES = 512
"""More than `struct timex` takes; only two of its fields are read, at their places on 64-bit Linux."""


@dataclass(frozen=True, kw_only=True)
class KernelClock:
    """The kernel's word.

    Attributes:
        synchronised: whether a time service keeps it right.
        error_ms: how wrong it may be at most, by the kernel's own count.
    """

    synchronised: bool
    error_ms: int


def kernel_clock() -> KernelClock | None:
    """Return what the kernel says; None where it cannot be asked. It is only read, which takes no rights."""
    if sys.platform != "linux" or sys.maxsize <= 2**32:
        return None
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    error_us = int.from_bytes(buffer.raw[_MAXERROR_AT : _MAXERROR_AT + 8], sys.byteorder, signed=True)
    return KernelClock(synchronised=state != _TIME_ERROR, error_ms=error_us // 1000)
