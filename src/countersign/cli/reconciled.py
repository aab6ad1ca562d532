"""Writes a copy of a pack that holds a reconciliation."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from countersign.auditlog.pack.reconciled import AlreadyReconciled, put_into
from countersign.auditlog.reconciliation import Extract, Unmatched
from countersign.auditlog.report import Report
from countersign.cli.failures import CommandFailed, usage


def put_into_copy(
    pack: Path, copy: Path, *, log: Report, extracts: Sequence[Extract], unmatched: Sequence[Unmatched]
) -> str:
    """Write the copy, which has its name only once it is whole, and return the SHA-256 of the report in it.

    Raises:
        CommandFailed: there is no pack, it holds a reconciliation already, or the copy cannot be written.
    """
    partial = copy.with_name(copy.name + ".part")
    try:
        with pack.open("rb") as source, os.fdopen(os.open(partial, _FRESH, 0o600), "w+b") as file:
            digest = put_into(source, file, log=log, extracts=extracts, unmatched=unmatched)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(copy)
    except AlreadyReconciled as already:
        raise usage(str(already), field="PATH") from None
    except zipfile.BadZipFile:
        raise usage(f"{pack} is no pack", field="PATH", hint="countersign evidence") from None
    except OSError as error:
        raise CommandFailed(f"{copy} cannot be written: {error.strerror}", code="unwritable") from None
    finally:
        partial.unlink(missing_ok=True)
    return digest


_FRESH = os.O_RDWR | os.O_CREAT | os.O_TRUNC
