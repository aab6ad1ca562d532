"""Which OCSF 1.9 event class an entry of each type becomes, and what events of a class say beyond what all say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AUTHORIZE_SESSION, ENTITY, USER, LIFECYCLE, FINDING = 3003, 3004, 3007, 6002, 2004
INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4
SUCCESS, FAILURE = 1, 2
OTHER = 99

# In these, `<word>` stands for what is told of one entry; `ocsf` knows the words.
_ACTOR = '"actor":{"user":{"uid":<actor>}},'
_HELD = ',"programmatic_credentials":[{"uid":<subject>}]'
OF_USER = _ACTOR + '"user":{"uid":<person>},'
OF_GRANT = OF_USER + '"privileges":[<subject>],'
OF_CREDENTIAL = _ACTOR + '"user":{"uid":<person>' + _HELD + "},"
OF_TOKEN = _ACTOR + '"user":{"uid":<actor>' + _HELD + "},"
OF_SESSION = (
    OF_USER + '"privileges":[<grant>],"session":{"uid":<subject>,"created_time":<time>,"expiration_time":<ends>},'
)
OF_ENTITY = _ACTOR + '"entity":{"uid":<subject>,"type":<about>},<code>'
OF_PRODUCT = '"app":{"name":"Countersign","vendor_name":"Countersign","version":<version>},'
OF_FINDING = '"finding_info":{"uid":<finding>,"title":<kind>},'
_ABOUT = {
    USER: OF_USER,
    AUTHORIZE_SESSION: OF_SESSION,
    ENTITY: OF_ENTITY,
    LIFECYCLE: OF_PRODUCT,
    FINDING: OF_FINDING,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EventClass:
    """What an entry of one type becomes.

    Attributes:
        uid: the event class.
        activity: within the class; a name of the entry's `state` may choose another one in `by_state`.
        about: what the event says beyond what all say, where that is not what others of its class do.
    """

    uid: int
    activity: int
    severity: int = INFORMATIONAL
    status: int = SUCCESS
    by_state: Mapping[str, int] | None = None
    about: str | None = None

    def activity_of(self, state: object) -> int:
        """Return the activity of an entry with this `state`; most have none."""
        return self.activity if self.by_state is None else self.by_state.get(str(state), self.activity)

    def template(self, activity: int) -> str:
        """Return what all events of this class and activity have alike."""
        status = "" if self.uid == FINDING else f'"status_id":{self.status},'
        return (
            f'{{"activity_id":{activity},"category_uid":{self.uid // 1000},"class_uid":{self.uid},'
            f'"type_uid":{self.uid * 100 + activity},"severity_id":{self.severity},{status}"time":<time>,'
            '"message":<begins><said>,<metadata>,"event_code":<kind>,"sequence":<index>,"uid":"<index>"},'
            f"{self.about or _ABOUT[self.uid]}"
            '<attested><hash>"},"uid":"<index>"}],"unmapped":<leaf>}'
        )


UNLISTED = EventClass(uid=ENTITY, activity=OTHER)
"""What a type becomes that is not in the table: one of a newer broker, perhaps."""

CLASSES: Mapping[str, EventClass] = {
    "broker.started": EventClass(uid=LIFECYCLE, activity=3),
    "rulebook.written": EventClass(uid=ENTITY, activity=3),
    "rulebook.proposed": EventClass(uid=ENTITY, activity=1),
    "rulebook.signed": EventClass(uid=ENTITY, activity=3),
    "rulebook.decided": EventClass(uid=ENTITY, activity=3, by_state={"rejected": 11, "withdrawn": 4}),
    "rulebook.adopted": EventClass(uid=ENTITY, activity=10),
    "clock.stepped": EventClass(uid=FINDING, activity=1, severity=HIGH),
    "trust.mismatched": EventClass(uid=FINDING, activity=1, severity=HIGH),
    "witness.disputed": EventClass(uid=FINDING, activity=1, severity=HIGH),
    "finding.raised": EventClass(uid=FINDING, activity=1, severity=MEDIUM),
    "finding.acknowledged": EventClass(uid=FINDING, activity=2),
    "log.checked": EventClass(uid=ENTITY, activity=2),
    "checkpoint.clock": EventClass(uid=ENTITY, activity=2),
    "audit.read": EventClass(uid=ENTITY, activity=2),
    "audit.asked": EventClass(uid=ENTITY, activity=2),
    "token.issued": EventClass(uid=USER, about=OF_TOKEN, activity=18),
    "token.revoked": EventClass(uid=USER, about=OF_TOKEN, activity=19),
    "person.disabled": EventClass(uid=USER, activity=5, severity=MEDIUM),
    "request.submitted": EventClass(uid=ENTITY, activity=1),
    "request.seen": EventClass(uid=ENTITY, activity=2),
    "counter.proposed": EventClass(uid=ENTITY, activity=1),
    "review.recorded": EventClass(uid=ENTITY, activity=3),
    "request.decided": EventClass(
        uid=ENTITY, activity=10, by_state={"denied": 11, "withdrawn": 4, "lapsed": 11, "approved": 10}
    ),
    "request.approved-automatically": EventClass(uid=ENTITY, activity=10),
    "act.refused": EventClass(uid=ENTITY, activity=OTHER, severity=LOW, status=FAILURE),
    "grant.opened": EventClass(uid=USER, about=OF_GRANT, activity=14),
    "grant.closed": EventClass(uid=USER, about=OF_GRANT, activity=15),
    "lease.prepared": EventClass(uid=AUTHORIZE_SESSION, activity=1),
    "lease.reserved": EventClass(uid=ENTITY, activity=3),
    "lease.issued": EventClass(uid=USER, about=OF_CREDENTIAL, activity=18),
    "lease.end-asked": EventClass(uid=ENTITY, activity=11),
    "lease.end-written": EventClass(uid=ENTITY, activity=3),
    "lease.overdue": EventClass(uid=FINDING, activity=1, severity=HIGH),
    "lease.dead": EventClass(uid=USER, about=OF_CREDENTIAL, activity=19),
    "provider.anomaly": EventClass(uid=FINDING, activity=1, severity=HIGH),
    "campaign.started": EventClass(uid=ENTITY, activity=1),
    "campaign.decided": EventClass(uid=ENTITY, activity=3),
    "campaign.closed": EventClass(uid=ENTITY, activity=11),
    "membership.removed": EventClass(uid=USER, activity=17, severity=MEDIUM),
    "audit.reviewed": EventClass(uid=ENTITY, activity=2),
    "stop.placed": EventClass(uid=ENTITY, activity=12, severity=MEDIUM),
    "stop.lift-asked": EventClass(uid=ENTITY, activity=3),
    "stop.lifted": EventClass(uid=ENTITY, activity=13),
    "envelope.proposed": EventClass(uid=ENTITY, activity=1),
    "envelope.signed": EventClass(uid=ENTITY, activity=3),
    "envelope.revoked": EventClass(uid=ENTITY, activity=4),
    "break-glass.opened": EventClass(uid=FINDING, activity=1, severity=MEDIUM),
    "break-glass.reviewed": EventClass(uid=ENTITY, activity=3),
    "break-glass.unreviewed": EventClass(uid=FINDING, activity=1, severity=HIGH),
}
