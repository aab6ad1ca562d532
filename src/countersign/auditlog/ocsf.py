"""Entries as OCSF 1.9 events, one JSON text each, for whoever reads logs of many systems.

Each event carries its entry whole (`unmapped`) and where it stands in the log (`attestation_list`, profile
`record_integrity`), so that nothing is lost in translation and every event can be taken back to its proof. Events are written
as text around the entry's own bytes: nothing is spelled a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from countersign import __version__
from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.ledger import moment

OCSF = "1.9.0"
AUTHORIZE_SESSION, ENTITY, USER, LIFECYCLE, FINDING = 3003, 3004, 3007, 6002, 2004
INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4
SUCCESS, FAILURE = 1, 2
OTHER = 99
_REMEMBERED = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class _Class:
    """What an entry of one type becomes.

    Attributes:
        uid: the event class.
        activity: within the class; a name of the entry's `state` may choose another one in `by_state`.
    """

    uid: int
    activity: int
    severity: int = INFORMATIONAL
    status: int = SUCCESS
    by_state: Mapping[str, int] | None = None


_CLASSES: Mapping[str, _Class] = {
    "broker.started": _Class(uid=LIFECYCLE, activity=3),
    "rulebook.written": _Class(uid=ENTITY, activity=3),
    "rulebook.proposed": _Class(uid=ENTITY, activity=1),
    "rulebook.decided": _Class(uid=ENTITY, activity=3, by_state={"rejected": 11, "withdrawn": 4}),
    "rulebook.adopted": _Class(uid=ENTITY, activity=10),
    "clock.stepped": _Class(uid=FINDING, activity=1, severity=HIGH),
    "audit.asked": _Class(uid=ENTITY, activity=2),
    "token.issued": _Class(uid=USER, activity=18),
    "token.revoked": _Class(uid=USER, activity=19),
    "person.disabled": _Class(uid=USER, activity=5, severity=MEDIUM),
    "request.submitted": _Class(uid=ENTITY, activity=1),
    "review.recorded": _Class(uid=ENTITY, activity=3),
    "request.decided": _Class(
        uid=ENTITY, activity=10, by_state={"denied": 11, "withdrawn": 4, "lapsed": 11, "approved": 10}
    ),
    "act.refused": _Class(uid=ENTITY, activity=OTHER, severity=LOW, status=FAILURE),
    "grant.opened": _Class(uid=USER, activity=14),
    "grant.closed": _Class(uid=USER, activity=15),
    "lease.prepared": _Class(uid=AUTHORIZE_SESSION, activity=1),
    "lease.reserved": _Class(uid=ENTITY, activity=3),
    "lease.issued": _Class(uid=USER, activity=18),
    "lease.end-asked": _Class(uid=ENTITY, activity=11),
    "lease.end-written": _Class(uid=ENTITY, activity=3),
    "lease.overdue": _Class(uid=FINDING, activity=1, severity=HIGH),
    "lease.dead": _Class(uid=USER, activity=19),
    "provider.anomaly": _Class(uid=FINDING, activity=1, severity=HIGH),
    "campaign.started": _Class(uid=ENTITY, activity=1),
    "campaign.decided": _Class(uid=ENTITY, activity=3),
    "campaign.closed": _Class(uid=ENTITY, activity=11),
    "membership.removed": _Class(uid=USER, activity=17, severity=MEDIUM),
    "audit.reviewed": _Class(uid=ENTITY, activity=2),
    "stop.placed": _Class(uid=ENTITY, activity=12, severity=MEDIUM),
    "stop.lifted": _Class(uid=ENTITY, activity=13),
    "envelope.proposed": _Class(uid=ENTITY, activity=1),
    "envelope.signed": _Class(uid=ENTITY, activity=3),
    "envelope.revoked": _Class(uid=ENTITY, activity=4),
    "break-glass.opened": _Class(uid=FINDING, activity=1, severity=MEDIUM),
    "break-glass.reviewed": _Class(uid=ENTITY, activity=3),
    "break-glass.unreviewed": _Class(uid=FINDING, activity=1, severity=HIGH),
}
_OF_PERSONS = frozenset({"person.disabled", "membership.removed"})
_UNLISTED = _Class(uid=ENTITY, activity=OTHER)


class Events:
    """Turns entries into events, in order: who a grant or a lease belongs to is remembered from the entries before.

    Args:
        origin: the name of the log.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._persons: dict[str, str] = {}
        self._at, self._ms = "", 0
        product = f'"product":{{"name":"Countersign","vendor_name":"Countersign","version":{quoted(__version__)}}}'
        self._metadata = (
            f'"metadata":{{"version":"{OCSF}","profiles":["record_integrity"],{product},"log_name":{quoted(origin)}'
        )
        self._attested = (
            f'"attestation_list":[{{"chain_uid":{quoted(origin)},"fingerprint":{{"algorithm":"RFC 6962 leaf hash (SHA-256)"'
            ',"algorithm_id":99,"encoding_id":1,"serialization_id":2,"value":"'
        )
        self._more: Mapping[int, Callable[[Fact, str, str], str]] = {
            USER: self._user,
            AUTHORIZE_SESSION: self._session,
            ENTITY: self._entity,
            LIFECYCLE: self._lifecycle,
            FINDING: self._finding,
        }

    def event(self, index: int, fact: Fact, leaf: str, hashed: str) -> str:
        """Return one event as a line of JSON without its end.

        Args:
            index: the entry's place.
            fact: what it says.
            leaf: its text, as it was hashed.
            hashed: its leaf hash in hex.
        """
        kind, subject, at, data = fact["type"], fact["subject"], fact["at"], fact["data"]
        if at != self._at:
            self._at, self._ms = at, int(moment(at).timestamp() * 1000)
        known = _CLASSES.get(kind, _UNLISTED)
        activity = known.activity
        if known.by_state is not None:
            activity = known.by_state.get(str(data.get("state")), activity)
        person = self._person(kind, subject, data)
        more = self._more.get(known.uid)
        about = "" if more is None else more(fact, subject, person)
        status = "" if known.uid == FINDING else f'"status_id":{known.status},'
        return (
            f'{{"activity_id":{activity},"category_uid":{known.uid // 1000},"class_uid":{known.uid},'
            f'"type_uid":{known.uid * 100 + activity},"severity_id":{known.severity},{status}"time":{self._ms},'
            f'"message":{quoted(kind + " " + subject)},{self._metadata},"event_code":{quoted(kind)},"sequence":{index},'
            f'"uid":"{index}"}},{about}{self._attested}{hashed}"}},"uid":"{index}"}}],"unmapped":{leaf}}}'
        )

    def _person(self, kind: str, subject: str, data: Mapping[str, Any]) -> str:
        if kind in {"grant.opened", "lease.prepared"}:
            if len(self._persons) >= _REMEMBERED:
                del self._persons[next(iter(self._persons))]
            self._persons[subject] = data["person"]
        if kind == "lease.dead":
            return self._persons.pop(subject, "unknown")
        return self._persons.get(subject, subject if kind in _OF_PERSONS else "unknown")

    def _user(self, fact: Fact, subject: str, person: str) -> str:
        name = fact["actor"] if fact["type"].startswith("token.") else person
        held = ""
        if fact["type"] in {"lease.issued", "lease.dead", "token.issued", "token.revoked"}:
            held = f',"programmatic_credentials":[{{"uid":{quoted(subject)}}}]'
        given = f'"privileges":[{quoted(subject)}],' if fact["type"].startswith("grant.") else ""
        return f'{_actor(fact)}"user":{{"uid":{quoted(name)}{held}}},{given}'

    def _session(self, fact: Fact, subject: str, person: str) -> str:
        data = fact["data"]
        ends = int(moment(data["not_after"]).timestamp() * 1000)
        return (
            f'{_actor(fact)}"user":{{"uid":{quoted(person)}}},"privileges":[{quoted(data["grant"])}],'
            f'"session":{{"uid":{quoted(subject)},"created_time":{self._ms},"expiration_time":{ends}}},'
        )

    def _entity(self, fact: Fact, subject: str, person: str) -> str:
        del person
        about, code = quoted(fact["type"].partition(".")[0]), fact["data"].get("code")
        refused = "" if code is None else f'"status_code":{quoted(str(code))},'
        return f'{_actor(fact)}"entity":{{"uid":{quoted(subject)},"type":{about}}},{refused}'

    def _lifecycle(self, fact: Fact, subject: str, person: str) -> str:
        del subject, person
        version = quoted(str(fact["data"].get("version")))
        return f'"app":{{"name":"Countersign","vendor_name":"Countersign","version":{version}}},'

    def _finding(self, fact: Fact, subject: str, person: str) -> str:
        del person
        uid = quoted(f"{self._origin}#{fact['type']}#{subject}#{fact['at']}")
        return f'"finding_info":{{"uid":{uid},"title":{quoted(fact["type"])}}},'


def _actor(fact: Fact) -> str:
    return f'"actor":{{"user":{{"uid":{quoted(fact["actor"])}}}}},'
