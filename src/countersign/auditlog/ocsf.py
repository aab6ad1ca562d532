"""Entries as OCSF 1.9 events, one JSON text each, for whoever reads logs of many systems.

Each event carries its entry whole (`unmapped`) and where it stands in the log (`attestation_list`, profile
`record_integrity`), so that nothing is lost in translation and every event can be taken back to its proof. Events are written
as text around the entry's own bytes: nothing is spelled a second time, and what events of a type have alike is spelled once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import islice
from operator import itemgetter
from typing import Any

import msgspec

from countersign import __version__
from countersign.auditlog.leaf import NotALeaf
from countersign.auditlog.meaning.ledger import moment
from countersign.auditlog.ocsf_classes import (
    AUTHORIZE_SESSION,
    CLASSES,
    ENTITY,
    FINDING,
    LIFECYCLE,
    UNLISTED,
    EventClass,
)

OCSF = "1.9.0"
_REMEMBERED = 100_000
_UNKNOWN = b'"unknown"'
_OF_PERSONS = frozenset({"person.disabled", "membership.removed"})

_Spelled = bytes | msgspec.Raw
"""A text as JSON, with its quotes."""


_NONE = msgspec.Raw()


class _Data(msgspec.Struct, gc=False):
    """What events tell of an entry's data."""

    person: msgspec.Raw = _NONE
    grant: msgspec.Raw = _NONE
    not_after: str = ""
    state: Any = None
    code: Any = None
    version: Any = None


class _Told(msgspec.Struct, gc=False):
    """What events tell of an entry, texts as they are spelled in it."""

    type: str
    at: str
    actor: msgspec.Raw
    subject: msgspec.Raw
    data: _Data


_read = msgspec.json.Decoder(_Told).decode


class _Template:
    """A text with places for words, cut where they go.

    Args:
        text: with `<word>` where a word goes.
        alike: words that are the same each time.
    """

    def __init__(self, text: str, alike: Mapping[str, str]) -> None:
        first, *rest = re.split(r"<(\w+)>", text)
        literals, words = [first], []
        for word, literal in zip(rest[::2], rest[1::2], strict=True):
            if word in alike:
                literals[-1] += alike[word] + literal
            else:
                words.append(word)
                literals.append(literal)
        self._parts: list[_Spelled] = [b""] * (2 * len(words) + 1)
        self._parts[::2] = [literal.encode() for literal in literals]
        self._words_of = itemgetter(*words)

    def filled(self, words: Mapping[str, _Spelled]) -> bytes:
        """Return the text with these words in their places."""
        self._parts[1::2] = self._words_of(words)
        return b"".join(self._parts)


class Events:
    """Turns entries into events, in order: who a grant or a lease belongs to is remembered from the entries before.

    Args:
        origin: the name of the log.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._persons: dict[bytes, _Spelled] = {}
        self._at, self._time = "", b""
        product = f'"product":{{"name":"Countersign","vendor_name":"Countersign","version":{_spell(__version__)}}}'
        self._alike = {
            "metadata": (
                f'"metadata":{{"version":"{OCSF}","profiles":["record_integrity"],{product},"log_name":{_spell(origin)}'
            ),
            "attested": (
                f'"attestation_list":[{{"chain_uid":{_spell(origin)},"fingerprint":{{"algorithm":"RFC 6962 leaf hash (SHA-256)"'
                ',"algorithm_id":99,"encoding_id":1,"serialization_id":2,"value":"'
            ),
        }
        self._templates: dict[tuple[str, int], _Template] = {}
        self._more: Mapping[int, Callable[[_Told, bytes], Mapping[str, _Spelled]]] = {
            AUTHORIZE_SESSION: self._session,
            ENTITY: self._entity,
            LIFECYCLE: self._lifecycle,
            FINDING: self._finding,
        }

    def event(self, index: int, leaf: bytes, hashed: bytes) -> tuple[str, bytes]:
        """Return when it was, as the entry spells it, and one event as a line of JSON without its end.

        Args:
            index: the entry's place.
            leaf: its bytes.
            hashed: its leaf hash.

        Raises:
            NotALeaf: the bytes say nothing of the kind.
        """
        try:
            told = _read(leaf)
            if told.at != self._at:
                self._at, self._time = told.at, _epoch_ms(told.at)
            kind, actor, subject = told.type, bytes(told.actor), bytes(told.subject)
            if actor[:1] + subject[:1] != b'""':
                raise NotALeaf("actor and subject are texts")
            known = CLASSES.get(kind, UNLISTED)
            words: dict[str, _Spelled] = {
                "index": b"%d" % index,
                "time": self._time,
                "said": subject[1:],
                "subject": subject,
                "actor": actor,
                "person": self._person(kind, subject, told.data),
                "hash": hashed.hex().encode(),
                "leaf": leaf,
            }
            more = self._more.get(known.uid)
            if more is not None:
                words.update(more(told, subject))
            return told.at, self._template(kind, known, known.activity_of(told.data.state)).filled(words)
        except (ValueError, TypeError) as error:
            raise NotALeaf(str(error)) from error

    def _template(self, kind: str, known: EventClass, activity: int) -> _Template:
        made = self._templates.get((kind, activity))
        if made is None:
            begins = {"begins": _spell(f"{kind} ")[:-1], "kind": _spell(kind), "about": _spell(kind.partition(".")[0])}
            made = _Template(known.template(activity), self._alike | begins)
            if known is not UNLISTED:  # nobody bounds how many of these a log may hold
                self._templates[kind, activity] = made
        return made

    def _person(self, kind: str, subject: bytes, data: _Data) -> _Spelled:
        if kind in {"grant.opened", "lease.prepared"} and data.person:
            if len(self._persons) >= _REMEMBERED:
                # The older half is forgotten: to look for the oldest each time would take long.
                self._persons = dict(islice(self._persons.items(), _REMEMBERED // 2, None))
            self._persons[subject] = data.person.copy()
        if kind == "lease.dead":
            return self._persons.pop(subject, _UNKNOWN)
        return self._persons.get(subject, subject if kind in _OF_PERSONS else _UNKNOWN)

    def _session(self, told: _Told, subject: bytes) -> Mapping[str, _Spelled]:
        del subject
        return {"grant": told.data.grant or _UNKNOWN, "ends": _epoch_ms(told.data.not_after)}

    def _entity(self, told: _Told, subject: bytes) -> Mapping[str, _Spelled]:
        del subject
        code = told.data.code
        return {"code": b"" if code is None else f'"status_code":{_spell(str(code))},'.encode()}

    def _lifecycle(self, told: _Told, subject: bytes) -> Mapping[str, _Spelled]:
        del subject
        return {"version": _spell(str(told.data.version)).encode()}

    def _finding(self, told: _Told, subject: bytes) -> Mapping[str, _Spelled]:
        named = _spell(f"{self._origin}#{told.type}#")[:-1].encode() + subject[1:-1] + f'#{told.at}"'.encode()
        return {"finding": named}


def _spell(text: str) -> str:
    return json.dumps(text)


def _epoch_ms(spelled: str) -> bytes:
    return b"%d" % int(moment(spelled).timestamp() * 1000)
