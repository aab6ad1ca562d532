"""Requests, reviews and grants in a replay: that nobody had a grant without approvals of exactly what he asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from countersign.auditlog.leaf import Fact, spelled
from countersign.auditlog.meaning.ledger import Ledger, OpenGrant, OpenRequest, past
from countersign.domain.request import DIGEST_LABEL

_LABEL = DIGEST_LABEL.encode("ascii") + b"\n"
STATES = ("approved", "denied", "withdrawn", "lapsed")


@dataclass(slots=True)
class Approvals:
    """Judges the facts of requests, reviews and grants."""

    ledger: Ledger

    def submitted(self, index: int, fact: Fact) -> None:
        """A request is what its digest covers, made by the person that it names."""
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        statement = data["statement"]
        if name in ledger.requests or name in ledger.over:
            ledger.broken(index, "request-twice", f"{name} was submitted before")
            return
        digest = hashlib.sha256(_LABEL + spelled(statement)).hexdigest()
        said = (name, fact["actor"], data["reason"], data["ticket"])
        if digest != data["digest"]:
            ledger.broken(index, "digest-mismatch", f"the statement of {name} has the digest {digest}")
        elif (statement["id"], statement["person"], statement["reason"], statement["ticket"]) != said:
            ledger.broken(index, "digest-mismatch", f"the statement of {name} is not about what the entry says")
        ledger.requests[name] = OpenRequest(
            index=index,
            digest=data["digest"],
            person=statement["person"],
            entitlement=statement["entitlement"],
            rule=statement["rule"],
            duration_s=int(statement["duration_s"]),
            lapses_at=data["lapses_at"],
            signed=statement.get("signature") == "required",
            behind=tuple(statement.get("behind", ())),
        )

    def reviewed(self, index: int, fact: Fact) -> None:
        """A review is one other person's word on exactly the digest, while it could still be given."""
        ledger, data, name, person = self.ledger, fact["data"], fact["subject"], fact["actor"]
        request = ledger.requests.get(name)
        if request is None:
            self._unknown(index, name, "review-after-decision")
            return
        if request.state != "pending":
            ledger.broken(index, "review-after-decision", f"{name} was {request.state} already")
            return
        if person == request.person:
            ledger.broken(index, "self-review", f"{person} reviewed a request of his own, {name}")
            return
        if person in request.behind:
            ledger.broken(index, "self-review", f"{person} is behind the pipeline run that asked {name}")
            return
        if data["digest"] != request.digest:
            ledger.broken(index, "wrong-digest", f"{person} reviewed another digest than that of {name}")
            return
        if person in request.approvers:
            ledger.broken(index, "review-twice", f"{person} reviewed {name} before")
            return
        if not data["groups"]:
            ledger.broken(index, "not-eligible", f"{person} reviewed {name} on behalf of no group")
            return
        if past(fact["at"], request.lapses_at):
            ledger.broken(index, "review-late", f"{name} could be reviewed until {request.lapses_at}")
        if data["decision"] == "approve":
            request.approvers.append(person)
        else:
            request.denied_by = person

    def decided(self, index: int, fact: Fact) -> None:
        """A request is decided once, and approved only on approvals."""
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        request = ledger.requests.get(name)
        if request is None:
            self._unknown(index, name, "decided-twice")
            return
        state = data["state"]
        if request.state != "pending":
            ledger.broken(index, "decided-twice", f"{name} was {request.state} already")
            return
        if data["digest"] != request.digest:
            ledger.broken(index, "wrong-digest", f"another digest was decided than that of {name}")
        if state not in STATES:
            ledger.broken(index, "fact-shape", f"{name} became {state}, which no request can be")
        if state == "approved" and (request.denied_by or not request.approvers):
            why = "one reviewer denied it" if request.denied_by else "nobody approved it"
            ledger.broken(index, "approved-without-approval", f"{name} was approved although {why}")
        if state == "denied" and request.denied_by is None:
            ledger.broken(index, "denied-without-denial", f"{name} was denied and nobody denied it")
        request.state = state
        if state != "approved":
            del ledger.requests[name]
            ledger.over.add(name)

    def opened(self, index: int, fact: Fact) -> None:
        """A grant gives what was asked, once, on the approvals that stand in the log and no others."""
        ledger, data, name = self.ledger, fact["data"], fact["subject"]
        request_id = data["request"]
        request = ledger.requests.get(request_id)
        if request is None:
            code = "grant-twice" if request_id in ledger.over else "grant-without-approval"
            ledger.broken(index, code, f"{name} rests on {request_id}, which is not open")
            return
        if request.state != "approved":
            ledger.broken(index, "grant-without-approval", f"{name} was opened while {request_id} was {request.state}")
        if request.granted or name in ledger.grants or name in ledger.over:
            ledger.broken(index, "grant-twice", f"{request_id} has a grant already")
        request.granted = True
        approvers = list(data["approvers"])
        self._judge_approvers(index, name, approvers, request)
        given = (data["digest"], data["rule"], data["person"], data["duration_s"])
        if given != (request.digest, request.rule, request.person, request.duration_s):
            ledger.broken(index, "grant-mismatch", f"{name} gives something else than {request_id} asked for")
        ledger.grants[name] = OpenGrant(
            index=index,
            request_id=request_id,
            request=request,
            approvers=approvers,
            draws=int(data["draws"]),
            draw_by=data["draw_by"],
        )

    def closed(self, index: int, fact: Fact) -> None:
        """A grant is closed once; whatever lives under it is then due."""
        ledger, name = self.ledger, fact["subject"]
        grant = ledger.grants.get(name)
        if grant is None:
            code = "grant-closed-twice" if name in ledger.over else "grant-unknown"
            ledger.broken(index, code, f"{name} is not open")
            return
        if grant.closed_at is not None:
            ledger.broken(index, "grant-closed-twice", f"{name} was closed before")
            return
        grant.closed_at, grant.closed_index = fact["at"], index
        ledger.settle(name, grant)

    def _judge_approvers(self, index: int, name: str, approvers: list[str], request: OpenRequest) -> None:
        ledger = self.ledger
        if not approvers:
            ledger.broken(index, "grant-without-approval", f"{name} names no approver")
        if len(set(approvers)) != len(approvers):
            ledger.broken(index, "approvers-mismatch", f"{name} counts a person twice")
        if request.person in approvers:
            ledger.broken(index, "self-approval", f"{request.person} stands among the approvers of his own {name}")
        if sorted(set(approvers)) != sorted(request.approvers):
            signed = ", ".join(sorted(request.approvers)) or "nobody"
            ledger.broken(
                index, "approvers-mismatch", f"{name} names {', '.join(approvers)}; in the log {signed} approved"
            )

    def _unknown(self, index: int, name: str, when_over: str) -> None:
        if name in self.ledger.over:
            self.ledger.broken(index, when_over, f"{name} is over")
        else:
            self.ledger.broken(index, "request-unknown", f"{name} was never submitted, or is long over")
