"""Leases in a replay: that each was drawn under a grant, within what it allows, and came to an end that was seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import Severity
from countersign.auditlog.meaning.ledger import Ledger, OpenGrant, OpenLease, moment, past

NEVER_SERVED = frozenset({"undelivered", "outcome-unknown", "failed"})
"""Causes of leases whose credential never reached the requester; only these give a draw back."""
DEATHS = frozenset({"gone", "denied"})
UNSEEN = timedelta(seconds=60)
"""How long before its entry a death may have been seen: a look and its writing take seconds."""


@dataclass(slots=True)
class Lives:
    """Judges the facts of leases."""

    ledger: Ledger

    def prepared(self, index: int, fact: Fact) -> None:
        """A draw needs an open grant with a draw left, by its own person, and never outlasts what was approved."""
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        if name in ledger.leases or name in ledger.over:
            ledger.broken(index, "lease-twice", f"{name} was drawn before")
            return
        grant_id = data["grant"]
        lease = OpenLease(index=index, grant_id=grant_id, not_after=data["not_after"], backstop_at=data["backstop_at"])
        ledger.leases[name] = lease
        grant = ledger.grants.get(grant_id)
        if grant is None:
            code = "draw-after-close" if grant_id in ledger.over else "lease-without-grant"
            ledger.broken(index, code, f"{name} was drawn under {grant_id}, which is not open")
            return
        self._judge_draw(index, fact, grant)
        grant.used += 1
        grant.alive += 1
        grant.served.add(name)

    def _judge_draw(self, index: int, fact: Fact, grant: OpenGrant) -> None:
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        request = grant.request
        if grant.closed_at is not None:
            ledger.broken(index, "draw-after-close", f"{data['grant']} was closed at {grant.closed_at}")
        if not fact["actor"] == data["person"] == request.person:
            ledger.broken(index, "draw-by-another", f"{data['grant']} was granted to {request.person}")
        if (data["request"], data["digest"]) != (grant.request_id, request.digest):
            ledger.broken(index, "lease-mismatch", f"{name} names another request or digest than its grant")
        if sorted(data["approvers"]) != sorted(request.approvers if request.envelope else grant.approvers):
            ledger.broken(index, "approvers-mismatch", f"{name} names other approvers than its grant")
        if grant.used >= grant.draws:
            ledger.broken(index, "draws-exceeded", f"{data['grant']} allows {grant.draws}, and {grant.used} were used")
        if data["backstop_at"] < data["not_after"]:
            ledger.broken(index, "lease-mismatch", f"the provider's own end of {name} comes before its promised one")
        self._judge_end(index, fact, grant)

    def _judge_end(self, index: int, fact: Fact, grant: OpenGrant) -> None:
        ledger, at, name, not_after = self.ledger, fact["at"], fact["subject"], fact["data"]["not_after"]
        if grant.not_after is None:
            if past(at, grant.draw_by):
                ledger.broken(index, "draw-late", f"{name} could be drawn until {grant.draw_by}")
            if moment(not_after) - moment(at) > timedelta(seconds=grant.request.duration_s):
                approved = grant.request.duration_s
                ledger.broken(index, "beyond-duration", f"{approved} s were approved, and {name} ends {not_after}")
            grant.not_after = not_after
            return
        if not_after != grant.not_after:
            ledger.broken(index, "not-after-extended", f"its grant ends {grant.not_after}, and {name} {not_after}")
        if past(at, grant.not_after):
            ledger.broken(index, "draw-late", f"the grant of {name} ended {grant.not_after}")

    def reserved(self, index: int, fact: Fact) -> None:
        """The handle that kills is set up once, while the lease is prepared."""
        lease = self._open(index, fact)
        if lease is None:
            return
        if lease.state != "prepared" or lease.reserved:
            self.ledger.broken(index, "lease-order", f"a handle was set up while {fact['subject']} was {lease.state}")
        lease.reserved = True

    def issued(self, index: int, fact: Fact) -> None:
        """A credential exists only after its handle, once, and ends by what was prepared."""
        lease = self._open(index, fact)
        if lease is None:
            return
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        if lease.state != "prepared" or not lease.reserved:
            what = lease.state if lease.reserved else "without a handle that ends it"
            ledger.broken(index, "lease-order", f"{name} was issued while it was {what}")
        if data["grant"] != lease.grant_id:
            ledger.broken(index, "lease-mismatch", f"{name} was prepared under {lease.grant_id}")
        if data["expires_at"] > lease.backstop_at:
            ledger.broken(
                index, "beyond-backstop", f"{name} works until {data['expires_at']}, {lease.backstop_at} was told"
            )
        if lease.state == "prepared":
            lease.state = "active"

    def end_asked(self, index: int, fact: Fact) -> None:
        """A lease is sent to its end once; a draw comes back only for a credential that never served."""
        lease = self._open(index, fact)
        if lease is None:
            return
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        if lease.state == "ending":
            ledger.broken(index, "lease-order", f"the end of {name} was asked for before")
            return
        if data["not_after"] != lease.not_after:
            ledger.broken(index, "not-after-extended", f"{name} ends {lease.not_after}, not {data['not_after']}")
        lease.state, lease.asked_at, lease.asked_index = "ending", fact["at"], index
        unserved = data["cause"] in NEVER_SERVED
        grant = ledger.grants.get(lease.grant_id)
        if data["draw_given_back"] and not unserved:
            ledger.broken(index, "draw-given-back", f"{name} served, and its draw was given back")
        if grant is None or not unserved:
            return
        grant.served.discard(name)
        if data["draw_given_back"] and grant.closed_at is None and grant.used > 0:
            grant.used -= 1
            if not grant.served:
                grant.not_after = None  # nothing was ever handed over: the time has not begun

    def end_written(self, index: int, fact: Fact) -> None:
        """A provider takes an order only where one was given."""
        lease = self._open(index, fact)
        if lease is not None and lease.state != "ending":
            self.ledger.broken(
                index, "lease-order", f"{fact['subject']} was {lease.state} and nobody had asked for its end"
            )

    def overdue(self, index: int, fact: Fact) -> None:
        """An overdue lease is told of, and stays open."""
        lease = self._open(index, fact)
        if lease is None:
            return
        if lease.state != "ending":
            self.ledger.broken(
                index, "lease-order", f"{fact['subject']} was {lease.state} and nobody had asked for its end"
            )
        lease.overdue = True
        detail = f"{fact['subject']} should have been dead, and was seen {fact['data']['standing']}"
        self.ledger.note(index, "overdue", Severity.HIGH, detail)

    def dead(self, index: int, fact: Fact) -> None:
        """A death follows an order, was seen, and says truly how late it was."""
        lease = self._open(index, fact)
        if lease is None:
            return
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        if lease.asked_at is None:
            ledger.broken(index, "dead-unordered", f"{name} was {lease.state} and nobody had asked for its end")
        if data["standing"] not in DEATHS:
            ledger.broken(index, "death-unseen", f"{name} was seen {data['standing']}, which is no death")
        if (data["grant"], data["not_after"]) != (lease.grant_id, lease.not_after):
            ledger.broken(index, "lease-mismatch", f"{name} is another one's certificate of death")
        self._judge_lateness(index, fact, lease)
        del ledger.leases[name]
        ledger.over.add(name)
        grant = ledger.grants.get(lease.grant_id)
        if grant is not None:
            grant.alive -= 1
            ledger.settle(lease.grant_id, grant)

    def _judge_lateness(self, index: int, fact: Fact, lease: OpenLease) -> None:
        ledger, data = self.ledger, fact["data"]
        late = timedelta(milliseconds=int(data["lateness_ms"]))
        due = lease.not_after if lease.asked_at is None else min(lease.asked_at, lease.not_after)
        if fact["at"] > due:
            latest = moment(fact["at"]) - moment(due)
            if data["evidence"] == "observed" and latest - late > UNSEEN:
                ledger.broken(
                    index, "lateness", f"{fact['subject']} was due {due}; its death was written {latest} later"
                )
        if late > ledger.thresholds.late:
            grave = late > ledger.thresholds.very_late
            detail = f"{fact['subject']} died {late} after it should have"
            ledger.note(index, "late", Severity.HIGH if grave else Severity.MEDIUM, detail)

    def _open(self, index: int, fact: Fact) -> OpenLease | None:
        name = fact["subject"]
        lease = self.ledger.leases.get(name)
        if lease is None:
            if name in self.ledger.over:
                code = "dead-twice" if fact["type"] == "lease.dead" else "after-death"
                self.ledger.broken(index, code, f"{name} is dead")
            else:
                self.ledger.broken(index, "lease-unknown", f"{name} was never drawn, or is long dead")
        return lease
