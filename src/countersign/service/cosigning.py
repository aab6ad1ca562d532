"""Has witnesses cosign what was signed: a follower of the log that gathers, keeps, and says when enough have vouched.

A witness that contradicts us is the point of having one: it is a fact, and an error in the broker's own log, whoever of the
two is the liar.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock

import structlog

from countersign.auditlog.checkpoint import parse_body
from countersign.auditlog.leaf import Entry
from countersign.auditlog.note import NoteRefused, parse_note
from countersign.auditlog.witnessing import Submission, read_cosignatures, read_size, read_witness_key
from countersign.domain.facts import BROKER
from countersign.domain.log_facts import WitnessDisputed
from countersign.domain.refusals import LogUnavailable
from countersign.domain.trust import Trust, TrustedWitness
from countersign.providers.witness import WitnessAnswer, WitnessAway
from countersign.service.checkpoints import Checkpoints
from countersign.service.followers import Unfinished
from countersign.service.office import Office
from countersign.service.publication import Publication

logger = structlog.get_logger(__name__)

ANSWER_WITHIN_S = 3.0
PAUSE_S = 0.25
TOLD_EVERY = timedelta(hours=1)
"""How often the same dispute with the same witness is recorded again: it must not feed the log with itself."""
_TRIES = 4
_MOST_WITNESSES = 16

Submit = Callable[[str, bytes, float], WitnessAnswer]
"""Sends a submission to the witness at an address, and returns its answer within so many seconds or raises `WitnessAway`."""


class _Trouble(Exception):
    """A witness did not cosign, for a reason that accuses nobody."""


class _Disputed(Exception):
    """A witness said what cannot be true if both of us tell the truth."""

    def __init__(self, code: str, *, ours: int, theirs: int | None = None) -> None:
        super().__init__(code)
        self.code, self.ours, self.theirs = code, ours, theirs


@dataclass(kw_only=True)
class Cosigning:
    """The follower `witnesses`. Its cursor has passed what a quorum vouched for.

    Attributes:
        checkpoints: signs what witnesses are shown.
        submit: how a witness is spoken to.
        troubles: by witness, what its last answer or the lack of one came to, while it is not well.
        monotonic: seconds on a clock that nobody can set.
    """

    office: Office
    publication: Publication
    checkpoints: Checkpoints
    submit: Submit
    troubles: dict[str, str] = field(default_factory=dict)
    monotonic: Callable[[], float] = time.monotonic
    _turn: Lock = field(default_factory=Lock, repr=False)
    _asking: dict[str, Future[None]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Make a hand for each witness, so that one that hangs keeps no other waiting."""
        self._hands = ThreadPoolExecutor(_MOST_WITNESSES, thread_name_prefix="countersign-witness")

    @property
    def name(self) -> str:
        """The follower's name."""
        return "witnesses"

    def handle(self, entries: Sequence[Entry]) -> None:
        """Have the log's newest checkpoint cosigned, which covers these entries and perhaps more.

        Raises:
            Unfinished: too few witnesses vouched for the last of them.
        """
        cosigned = self._gather(entries[-1].index + 1, until=self.monotonic() + ANSWER_WITHIN_S)
        if cosigned is not None and cosigned <= entries[-1].index:
            told = "; ".join(f"{name}: {trouble}" for name, trouble in sorted(self.troubles.items()))
            raise Unfinished(told or "too few witnesses answered", done=max(0, cosigned - entries[0].index))

    def is_cosigned(self, size: int, *, within_s: float) -> bool:
        """Say whether a quorum vouches, within so many seconds, for at least `size` entries; without witnesses nobody does."""
        until = self.monotonic() + within_s
        while True:
            cosigned = self._gather(size, until=until)
            if cosigned is None:
                return False
            if cosigned >= size:
                return True
            left = until - self.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, PAUSE_S))

    def _gather(self, wanted: int, *, until: float) -> int | None:
        """Ask for cosignatures until so many entries are vouched for or nobody is left to ask; return how many are.

        One thread asks at a time; whoever waited for it looks first at what it was given. None if there are no witnesses.
        """
        if not self._turn.acquire(timeout=max(0.0, until - self.monotonic())):
            return self._cosigned_size()[1]
        try:
            trust, cosigned = self._cosigned_size()
            if cosigned is None or cosigned >= wanted:
                return cosigned
            note = self.checkpoints.sign()
            if note is None:
                return cosigned
            asked = [self._ask(each, note) for each in trust.witnesses]
            pending = set(asked)
            while pending and (left := until - self.monotonic()) > 0:
                _, pending = wait(pending, timeout=left, return_when=FIRST_COMPLETED)
                cosigned = self._cosigned_size()[1]
                if cosigned is None or cosigned >= wanted:
                    break
            return cosigned
        finally:
            self._turn.release()

    def _cosigned_size(self) -> tuple[Trust, int | None]:
        """Return whom the rules trust, and how many entries a quorum of them vouches for; None without witnesses."""
        with self.office.store.read() as tx:
            trust = self.office.rules.current(tx).catalog.trust
            if not trust.witnesses:
                return trust, None
            return trust, tx.cosigned_size([each.vkey for each in trust.witnesses], trust.witness_quorum)

    def _ask(self, witness: TrustedWitness, note: str) -> Future[None]:
        """Set a hand to work on a witness; one that has not answered yet is not asked a second thing."""
        running = self._asking.get(witness.vkey)
        if running is None or running.done():
            running = self._asking[witness.vkey] = self._hands.submit(self._obtain, witness, note)
        return running

    def _obtain(self, witness: TrustedWitness, note: str) -> None:
        try:
            self._converse(witness, note)
        except (_Trouble, WitnessAway) as trouble:
            self.troubles[witness.name] = str(trouble)
        except _Disputed as dispute:
            self.troubles[witness.name] = f"it contradicts this log: {dispute.code}"
            self._tell(witness, dispute)
        except LogUnavailable as trouble:
            self.troubles[witness.name] = trouble.detail
        except Exception as fault:  # the outermost handler of a hand: what is wrong with one witness stops no other
            self.troubles[witness.name] = f"a fault of ours: {type(fault).__name__}"
            logger.exception("a witness could not be asked", witness=witness.name)
        else:
            self.troubles.pop(witness.name, None)

    def _converse(self, witness: TrustedWitness, note: str) -> None:
        """Submit a checkpoint, from the size that the witness says it knows, and keep its cosignature."""
        with self.office.store.read() as tx:
            last = tx.cosigned_last(witness.vkey)
        old = 0 if last is None else last.size
        for _ in range(_TRIES):
            text = parse_note(note.encode()).text
            size = parse_body(text).size
            proof = self.publication.consistency(old, size) if 0 < old < size else ()
            body = Submission(old_size=old, proof=tuple(proof), checkpoint=note.encode()).encode()
            answer = self.submit(witness.url, body, ANSWER_WITHIN_S)
            if answer.status == 200:  # noqa: PLR2004 - cosigned
                self._keep(witness, answer.body, text=text, size=size)
                return
            if answer.status == 422:  # noqa: PLR2004 - it does not believe a proof that holds
                raise _Disputed("refuses-proof", ours=size, theirs=old)
            theirs = read_size(answer.body) if answer.status == 409 else None  # noqa: PLR2004 - it knows another size
            if theirs is None:
                raise _Trouble(f"answered {answer.status}")
            if theirs == old:
                raise _Disputed("other-root", ours=size, theirs=theirs)
            old = theirs
            if theirs > size:
                # Another broker on our database may have been quicker; otherwise it has seen entries that we do not have.
                newest = self.checkpoints.sign() or note
                if parse_body(parse_note(newest.encode()).text).size < theirs:
                    raise _Disputed("ahead", ours=size, theirs=theirs)
                note = newest
        raise _Trouble("overtaken again and again")

    def _keep(self, witness: TrustedWitness, answer: bytes, *, text: str, size: int) -> None:
        try:
            signature = read_cosignatures(answer, text=text, witness=read_witness_key(witness.vkey))
        except NoteRefused:
            raise _Disputed("bad-cosignature", ours=size) from None
        with self.office.store.begin() as tx:
            tx.add_cosignature(size, witness.vkey, signature.signature)

    def _tell(self, witness: TrustedWitness, dispute: _Disputed) -> None:
        """Record a dispute."""
        fact = WitnessDisputed(
            actor=f"{BROKER}/witnesses",
            subject=witness.name[:80],
            code=dispute.code,
            ours=dispute.ours,
            theirs=dispute.theirs,
        )
        logger.error("a witness contradicts this log", witness=witness.name, **fact.data())
        with self.office.store.begin() as tx:
            if not tx.was_disputed(fact.subject, fact.code, since=tx.now - TOLD_EVERY):
                tx.record(fact)
