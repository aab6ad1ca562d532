# ruff: noqa: INP001 -- an example stands by itself
"""A provider for logins in a password file, such as a web server's `htpasswd`: an example that keeps the whole contract.

A line is `lease until salt hash`. Whoever checks a password (`may_log_in`) refuses it from `until` on, so a login ends at its
second with the broker away. Lines change under a lock, by writing a new file in the old one's place.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from countersign.domain.ids import LEASE, is_id
from countersign.domain.lease import Sighting, Standing
from countersign.domain.timestamps import read, spell
from countersign.providers import base

_NOT_YET = "!"  # stands where a hash will, and fits no password


@dataclass(frozen=True, kw_only=True)
class PasswdFile:
    """Implements `countersign.providers.base.Provider` for targets of kind `passwd`: {"path": "/srv/files/passwd"}."""

    clock: Callable[[], datetime]
    name: str = "passwd"
    ends_at_once: int = 24

    def preview(self, order: base.Order) -> base.Preview:
        """Say what it would give; touch nothing."""
        if order.parameters or order.grants or order.delivery.value != "direct":
            raise base.Unfit("a login here takes no parameters, no grants, and direct delivery", field="grants")
        return base.Preview(privileges=(f"a login named by the lease in {_path(order.target)}",))

    def reserve(self, order: base.Order) -> base.Reservation:
        """Take the line that the login will stand on; with no hash in it, nobody can log in."""
        self.preview(order)
        with _editing(order.target) as lines:
            lines[order.lease_id] = [spell(order.not_after), "", _NOT_YET]
        return base.Reservation(order=order, handle={"line": order.lease_id})

    def issue(self, reservation: base.Reservation) -> base.Issued:
        """Put a hash on the reserved line, unless `end` was there first: a late issue must find itself fenced."""
        order, password, salt = reservation.order, secrets.token_urlsafe(24), secrets.token_hex(16)
        try:
            with _editing(order.target) as lines:
                if lines.get(order.lease_id) != [spell(order.not_after), "", _NOT_YET]:
                    raise base.Declined("the reservation is gone")
                lines[order.lease_id] = [spell(order.not_after), salt, _hash(salt, password)]
        except base.Away as trouble:
            raise base.OutcomeUnknown(str(trouble)) from None
        return base.Issued(
            credential=base.Credential(kind="passwd", fields={"username": order.lease_id, "password": password}),
            expires_at=order.not_after,
        )

    def end(self, ref: base.LeaseRef) -> base.Answer:
        """Take the line away. An `issue` still under way then finds no reservation; what never was is gone already."""
        return _remove(ref.target, ref.lease_id)

    def look(self, refs: Sequence[base.LeaseRef]) -> Mapping[str, Sighting]:
        """Read the file that the logins are checked against, with the same judgement."""
        return {ref.lease_id: self._sighting(ref) for ref in refs}

    def received(self, ref: base.LeaseRef) -> None:
        """Nothing is delivered wrapped, so nothing is known of a receipt."""
        del ref

    def roll_call(self, targets: Sequence[Mapping[str, Any]]) -> Iterable[base.Stray]:
        """List every line; those that no lease is named by are nobody's we know."""
        for target in targets:
            for line in _lines(_path(target)):
                ref = {"path": str(_path(target)), "line": line}
                lease_id = line if is_id(line, LEASE) else None
                yield base.Stray(lease_id=lease_id, target=str(target["id"]), place="passwd line", ref=ref)

    def end_stray(self, stray: base.Stray) -> base.Answer:
        """Take a line away that bears a lease's name; a foreign one is left to a person."""
        if stray.lease_id is None:
            return base.Answer(said={"left": "it bears no lease's name; look at it and remove it by hand"})
        return _remove({"settings": {"path": stray.ref["path"]}}, stray.ref["line"])

    def _sighting(self, ref: base.LeaseRef) -> Sighting:
        now = self.clock()
        try:
            line = _lines(_path(ref.target)).get(ref.lease_id)
        except (base.Away, base.Unfit) as trouble:
            return Sighting(standing=Standing.UNKNOWN, at=now, seen={"file": str(trouble)})
        if line is None:
            return Sighting(standing=Standing.GONE, at=now, seen={"line": "absent"})
        standing = Standing.DENIED if now >= read(line[0]) else Standing.LIVE
        return Sighting(standing=standing, at=now, seen={"line": "present", "until": line[0]})


def may_log_in(path: Path, name: str, password: str, *, now: datetime) -> bool:
    """Say whether a login succeeds: what the web server in front of the files would ask."""
    line = _lines(path).get(name)
    return line is not None and now < read(line[0]) and hmac.compare_digest(line[2], _hash(line[1], password))


def _remove(target: Mapping[str, Any], name: str) -> base.Answer:
    with _editing(target) as lines:
        return base.Answer(said={"line": "absent" if lines.pop(name, None) is None else "removed"})


def _hash(salt: str, password: str) -> str:
    return hashlib.sha256(f"{salt}{password}".encode()).hexdigest()  # 192 random bits need no slow hash


def _path(target: Mapping[str, Any]) -> Path:
    path = target.get("settings", {}).get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise base.Unfit("target.settings.path must be an absolute path", field="target.settings.path")
    return Path(path)


def _lines(path: Path) -> dict[str, list[str]]:
    try:
        rows = [line.split(" ") for line in path.read_text(encoding="ascii").splitlines()]
        return {name: [spell(read(until)), salt, hashed] for name, until, salt, hashed in rows}
    except (OSError, ValueError) as error:
        raise base.Away(f"{path}: {type(error).__name__}") from None


@contextmanager
def _editing(target: Mapping[str, Any]) -> Iterator[dict[str, list[str]]]:
    """Hand out the lines under a lock, and put them back in one step unless the block fails."""
    try:
        path = _path(target)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lines = _lines(path)
            yield lines
            fresh = path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_text("".join(f"{' '.join([name, *row])}\n" for name, row in lines.items()), encoding="ascii")
            fresh.replace(path)
    except OSError as error:
        raise base.Away(f"{target['settings']['path']}: {type(error).__name__}") from None
