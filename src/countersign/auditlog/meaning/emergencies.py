"""Break-glass in a replay: envelopes signed beforehand, the word owed afterwards, and that neither replaces a second person."""

from __future__ import annotations

from dataclasses import dataclass, field

from countersign.auditlog.leaf import Fact
from countersign.auditlog.meaning.findings import Severity
from countersign.auditlog.meaning.ledger import Ledger, OpenRequest, past
from countersign.domain.canonical import digest

FEWEST_SIGNERS = 2


@dataclass(slots=True)
class _Envelope:
    """An envelope, until nothing can rest on it any more."""

    digest: str
    entitlement: str
    rule: str
    not_before: str
    not_after: str
    uses: int
    longest_s: int
    by: str
    signers: list[str] = field(default_factory=list)
    revoked: bool = False
    opened: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Owed:
    """A word owed on one break-glass access."""

    index: int
    person: str
    granters: tuple[str, ...]
    due: str


@dataclass(slots=True)
class Emergencies:
    """Judges the facts of envelopes and of reviews after the fact."""

    ledger: Ledger
    envelopes: dict[str, _Envelope] = field(default_factory=dict)
    owed: dict[str, _Owed] = field(default_factory=dict)

    def proposed(self, index: int, fact: Fact) -> None:
        """An envelope is what its digest covers."""
        data, name = fact["data"], fact["subject"]
        says = data["statement"]
        made = digest("countersign/envelope/v1", says)
        if made != data["digest"] or (says["id"], says["proposed_by"]) != (name, fact["actor"]):
            self.ledger.broken(
                index, "digest-mismatch", f"the statement of {name} has the digest {made}, or is another's"
            )
        self.envelopes = {
            kept: each for kept, each in self.envelopes.items() if not each.revoked and each.not_after > fact["at"]
        }
        self.envelopes[name] = _Envelope(
            digest=data["digest"],
            entitlement=says["entitlement"],
            rule=says["rule"],
            not_before=says["not_before"],
            not_after=says["not_after"],
            uses=int(says["uses"]),
            longest_s=int(says["max_duration_s"]),
            by=says["proposed_by"],
        )

    def signed(self, index: int, fact: Fact) -> None:
        """An envelope is signed by each person once, on its very digest."""
        name, person, found = fact["subject"], fact["actor"], self.envelopes.get(fact["subject"])
        if found is None or found.revoked:
            self.ledger.broken(index, "envelope-void", f"{name} is revoked, or was never proposed")
        elif fact["data"]["digest"] != found.digest:
            self.ledger.broken(index, "wrong-digest", f"{person} signed another digest than that of {name}")
        elif person in found.signers:
            self.ledger.broken(index, "review-twice", f"{person} signed {name} before")
        else:
            found.signers.append(person)

    def revoked(self, index: int, fact: Fact) -> None:
        """An envelope is worth nothing any more."""
        del index
        found = self.envelopes.get(fact["subject"])
        if found is not None:
            found.revoked = True

    def submitted(self, index: int, fact: Fact) -> None:
        """A request in an emergency bears its mark; one that opens an envelope rests on that envelope's signers."""
        mark = fact["data"]["statement"].get("emergency")
        request = self.ledger.requests.get(fact["subject"])
        if mark is None or request is None:
            return
        request.emergency = True
        name = mark["envelope"]
        if name is None:
            return
        found = self.envelopes.get(name)
        if found is None:
            self.ledger.broken(index, "envelope-void", f"{name} was never proposed, or is long over")
            return
        self._judge_opening(index, name, found, request, at=fact["at"])
        # The very list: who signs an envelope later stands behind what is drawn later.
        request.envelope, request.approvers = name, found.signers
        found.opened += 1

    def _judge_opening(self, index: int, name: str, found: _Envelope, request: OpenRequest, *, at: str) -> None:
        if request.person == found.by or request.person in found.signers:
            self.ledger.broken(index, "self-approval", f"{request.person} wrote or signed {name}, and opened it")
        fits = (
            not found.revoked
            and (found.entitlement, found.rule) == (request.entitlement, request.rule)
            and request.duration_s <= found.longest_s
            and found.opened < found.uses
            and len(found.signers) >= FEWEST_SIGNERS
            and at >= found.not_before
            and not past(at, found.not_after)
        )
        if not fits:
            self.ledger.broken(index, "envelope-void", f"{name} does not cover what was opened with it")

    def judge_draw(self, index: int, fact: Fact) -> None:
        """Nothing is drawn on a revoked envelope, nor in an emergency of which nobody was told."""
        grant = self.ledger.grants.get(fact["data"]["grant"])
        if grant is None or not grant.request.emergency:
            return
        if not grant.told:
            self.ledger.broken(
                index, "emergency-untold", f"{fact['data']['grant']} is break-glass, and nobody was told"
            )
        found = self.envelopes.get(grant.request.envelope or "")
        if found is not None and found.revoked:
            self.ledger.broken(index, "envelope-void", f"{grant.request.envelope} was revoked before")

    def opened(self, index: int, fact: Fact) -> None:
        """A break-glass access is told of, and a word on it is owed."""
        data, name = fact["data"], fact["subject"]
        grant = self.ledger.grants.get(name)
        if grant is None or not grant.request.emergency or data["person"] != grant.request.person:
            self.ledger.broken(index, "emergency-untold", f"{name} is no break-glass of {data['person']}")
            return
        grant.told = True
        granters = tuple(data["approvers"])
        self.owed[name] = _Owed(index=index, person=data["person"], granters=granters, due=data["review_due"])

    def reviewed(self, index: int, fact: Fact) -> None:
        """The word afterwards is neither the requester's nor a granter's, and is given once."""
        name, by = fact["subject"], fact["actor"]
        found = self.owed.pop(name, None)
        if found is None:
            self.ledger.broken(index, "decided-twice", f"no word is owed on {name}")
        elif by == found.person or by in found.granters:
            self.ledger.broken(index, "self-review", f"{by} asked for {name} or granted it")

    def finish(self) -> None:
        """Tell of the words that are owed for too long."""
        for name, owed in self.owed.items():
            if past(self.ledger.at, owed.due):
                detail = f"the word on {name} was due {owed.due}"
                self.ledger.note(owed.index, "emergency-unreviewed", Severity.HIGH, detail)
