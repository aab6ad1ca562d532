"""A witness: looks at a log's checkpoints from elsewhere, and vouches for those that grow out of the one it vouched for last.

It knows nothing of what the log is about. Its whole use is that it forgets nothing: whoever signs two histories with one key
gets one of them cosigned, and is kept as convicted with the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

import structlog

from countersign.auditlog.checkpoint import Checkpoint, CheckpointRefused, open_checkpoint, parse_body
from countersign.auditlog.merkle import EMPTY_ROOT, ProofRefused, verify_growth
from countersign.auditlog.note import NoteRefused, Verifier, parse_note
from countersign.auditlog.signer import Cosigner
from countersign.auditlog.witnessing import Submission, SubmissionRefused, with_cosignatures
from countersign.store.witness_state import Moved, Signed, WitnessState

logger = structlog.get_logger(__name__)


class WitnessRefused(Exception):
    """A submission that is not cosigned."""


class Malformed(WitnessRefused):
    """No submission, no checkpoint, or an old size beyond the checkpoint's."""


class UnknownLog(WitnessRefused):
    """The checkpoint names a log that is not configured here."""


class NotSignedByLog(WitnessRefused):
    """No key of that log signed the checkpoint."""


class ProofFails(WitnessRefused):
    """The log signed a tree that was not shown to begin with the one cosigned last."""


class OtherSize(WitnessRefused):
    """The old size is not the one cosigned last, or the log signed another root at that size.

    Attributes:
        size: the size cosigned last.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"the size cosigned last is {size}")
        self.size = size


@dataclass(frozen=True, kw_only=True)
class WatchedLog:
    """One log that is vouched for.

    Attributes:
        keys: its public keys, all of one name, which is its origin.
        silence_s: seconds without a cosigned checkpoint after which an alarm is raised; None for never.
    """

    keys: Sequence[Verifier]
    silence_s: int | None = None

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.keys[0].name


@dataclass(frozen=True, kw_only=True)
class Health:
    """How it stands with each log.

    Attributes:
        ok: whether nothing is wrong.
        logs: by origin, `ok` or what is wrong.
    """

    ok: bool
    logs: Mapping[str, str]


@dataclass(kw_only=True)
class Witness:
    """One witness, with one key.

    Attributes:
        cosigner: its key.
        logs: by origin, the logs it vouches for.
        state: what it signed.
        clock: the time.
    """

    cosigner: Cosigner
    logs: Mapping[str, WatchedLog]
    state: WitnessState
    clock: Callable[[], datetime]
    _alarmed: set[str] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        """Remember when watching began: a log that never spoke is silent from then on."""
        self._began = int(self.clock().timestamp())

    def add_checkpoint(self, raw: bytes) -> str:
        """Return our signature line over a submitted checkpoint.

        Raises:
            WitnessRefused: saying which of the specification's conditions does not hold.
            MemoryFailed: it could not be written down, so it is not signed.
        """
        # 1. Whose is it, and did he sign it?
        try:
            submission = Submission.decode(raw)
            claimed = parse_body(parse_note(submission.checkpoint).text)
        except (SubmissionRefused, NoteRefused, CheckpointRefused) as error:
            raise Malformed(str(error)) from error
        log = self.logs.get(claimed.origin)
        if log is None:
            raise UnknownLog(f"{claimed.origin} is not configured here")
        try:
            opened = open_checkpoint(submission.checkpoint, log.keys)
        except (NoteRefused, CheckpointRefused) as error:
            raise NotSignedByLog(str(error)) from error
        if submission.old_size > claimed.size:
            raise Malformed("the old size is beyond the checkpoint's")
        # 2. Does it grow out of what we signed last? Written down before it is signed; who is overtaken looks again.
        while True:
            try:
                at = self._advance(opened.checkpoint, submission)
            except Moved:
                continue
            return self.cosigner.cosign(opened.note.text.encode(), at).line()

    def newest(self, fingerprint: str) -> str | None:
        """Return the newest checkpoint of a log with our cosignature.

        Args:
            fingerprint: SHA-256 of the log's origin, in hex.
        """
        for origin in self.logs:
            signed = self.state.signed(origin)
            if signed is not None and sha256(origin.encode()).hexdigest() == fingerprint:
                text = parse_note(signed.note.encode()).text
                return with_cosignatures(signed.note, [self.cosigner.cosign(text.encode(), signed.at)])
        return None

    def health(self) -> Health:
        """Say which logs are silent or contradicted themselves; each is logged once when it begins and when it ends."""
        now = int(self.clock().timestamp())
        found = {origin: self._trouble(log, now) for origin, log in self.logs.items()}
        for origin, trouble in found.items():
            if trouble is not None and origin not in self._alarmed:
                self._alarmed.add(origin)
                logger.error("a log needs looking at", origin=origin, trouble=trouble)
            elif trouble is None and origin in self._alarmed:
                self._alarmed.discard(origin)
                logger.info("a log speaks again", origin=origin)
        return Health(ok=not any(found.values()), logs={origin: trouble or "ok" for origin, trouble in found.items()})

    def _trouble(self, log: WatchedLog, now: int) -> str | None:
        if self.state.conflicts(log.origin):
            return "it signed two histories"
        signed = self.state.signed(log.origin)
        silent = now - (self._began if signed is None else signed.at)
        if log.silence_s is not None and silent > log.silence_s:
            return f"silent for more than {log.silence_s} s"
        return None

    def _advance(self, checkpoint: Checkpoint, submission: Submission) -> int:
        before = self.state.signed(checkpoint.origin)
        last = before or Signed(size=0, root=EMPTY_ROOT, note="", at=0)
        note = submission.checkpoint.decode()
        now = int(self.clock().timestamp())
        if before is not None and checkpoint.size == last.size and checkpoint.root != last.root:
            self.state.keep_conflict(checkpoint.origin, note, "another root at the size cosigned last", now)
            logger.error("a log signed two histories", origin=checkpoint.origin, size=last.size)
            raise OtherSize(last.size)
        if submission.old_size != last.size:
            raise OtherSize(last.size)
        try:
            verify_growth(
                old_size=last.size,
                new_size=checkpoint.size,
                old_root=last.root,
                new_root=checkpoint.root,
                proof=submission.proof,
            )
        except ProofRefused as error:
            # Anybody can send a true checkpoint with a wrong proof: it convicts nobody. A log that cannot do better is silent.
            logger.warning("a proof does not hold", origin=checkpoint.origin, old=last.size, size=checkpoint.size)
            raise ProofFails(str(error)) from error
        # Our own statements never run backwards in time, whatever the clock does.
        at = max(now, last.at)
        after = Signed(size=checkpoint.size, root=checkpoint.root, note=note, at=at)
        self.state.advance(checkpoint.origin, before, after)
        return at
