"""The one polymorphic seam: what a provider must do so that a credential is made once, ended for good, and seen to be dead.

A provider is handed values and returns values; it opens no transaction and knows no rule. The service commits before and after
each call, in this order: intent, `reserve`, handle, `issue`, outcome; later `end` and `look`, repeated until `look` sees death.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from countersign.domain.entitlement import Delivery
from countersign.domain.lease import Sighting


class ProviderTrouble(Exception):
    """Base of what goes wrong at a provider. Messages never hold a secret."""


class ArchiveDiffers(Exception):
    """What lies in the archive is not what was to be written there, or is not locked as it must be. Somebody should look."""


class Away(ProviderTrouble):
    """The provider could not be reached, is sealed, or answered with a fault; whether anything happened is not known."""


class Declined(ProviderTrouble):
    """The provider understood and said no; nothing was made."""


class Unfit(ProviderTrouble):
    """The order can never be served as it stands (too long, too large, not allowed); nothing was tried.

    Args:
        field: the request or catalog field at fault, such as `duration_s` or `parameters.bucket`.
    """

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class OutcomeUnknown(ProviderTrouble):
    """The dangerous call was sent and its answer is missing or unfit; the lease must be killed."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was approved, pinned, for one lease.

    Attributes:
        target: `Target` as plain JSON: {"id", "provider", "kind", "settings"}.
        grants: the entitlement's own `grants` table: what a credential may do, in the provider's terms.
        parameters: judged parameters, safe by the catalog's allow-list and still to be rendered structurally.
        not_after: the promised second (millisecond precision; a provider with one-second resolution rounds down).
        backstop_at: the provider's own hard end when everything of ours is down.
    """

    lease_id: str
    grant_id: str
    request_id: str
    person: str
    entitlement: str
    target: Mapping[str, Any]
    grants: Mapping[str, Any]
    parameters: Mapping[str, str]
    now: datetime
    not_after: datetime
    backstop_at: datetime
    delivery: Delivery


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What an order would give, in words and exact privileges, for the approver before the approval.

    Attributes:
        privileges: one line each, exact (`SELECT on tables of role orders_ro`, `s3:GetObject on arn:…`).
        residual: what can outlive `not_after` and until when, one line each; empty when nothing can.
        latest_end_after_not_after_s: seconds after `not_after` at which access could at the latest still exist.
        dangers: what in it is wider than it looks, one line each; said to who writes the entitlement and to who approves.
    """

    privileges: tuple[str, ...]
    residual: tuple[str, ...] = ()
    dangers: tuple[str, ...] = ()
    latest_end_after_not_after_s: int = 0


Previewer = Callable[[Order], Preview]
"""What an order would give; pure, and needs no right at the provider."""


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """What `reserve` set up. `handle` is committed before `issue`; `secret` (a child token, say) stays in memory only."""

    order: Order
    handle: Mapping[str, Any] = field(default_factory=dict)
    secret: Any = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """The secret on its way through: handed over once, never stored, never shown by repr.

    Attributes:
        kind: `postgresql`, `aws`, `openbao-token` or `wrapped`.
        fields: what the client gets besides `kind`; JSON scalars.
    """

    kind: str
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A credential that exists.

    Attributes:
        expires_at: the latest moment at which the provider itself lets it work.
        details: goes into the log and holds no secret.
        receipt_due: when to ask `received`; None where receipt cannot be known.
    """

    credential: Credential
    expires_at: datetime
    receipt_due: datetime | None = None
    handle: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LeaseRef:
    """What ending and looking need, all from our own database; a crash may have left `handle` empty.

    Attributes:
        prepared_at: when the intent was committed.
    """

    lease_id: str
    provider: str
    target: Mapping[str, Any]
    handle: Mapping[str, Any]
    prepared_at: datetime
    not_after: datetime
    backstop_at: datetime


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the provider said to an order to end: an answer, not a proof. `said` goes into the log and holds no secret."""

    said: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stray:
    """Something at a provider that bears a lease id of ours, or sits where only ours may be.

    Attributes:
        lease_id: the id it bears; None when it bears none.
        place: where it stands (`postgresql role lse_…`, `openbao token accessor`, `iam policy statement`).
        ref: enough for `end_stray`; no secret.
    """

    lease_id: str | None
    target: str
    place: str
    ref: Mapping[str, Any]


@runtime_checkable
class StopsTargets(Protocol):
    """A provider that can, beyond its leases, shut out everything that was made at a target before."""

    def stop_target(self, target: Mapping[str, Any], *, before: datetime) -> Answer:
        """Shut out what was made there before a moment, ours or not; the same order may come again.

        Raises:
            Unfit: the target is none of this provider's.
            Away: it does not stand, or not for certain.
        """


class Provider(Protocol):
    """One back end. All calls block, bound their own time (≤ 10 s), are safe from several threads, and follow no redirect.

    Attributes:
        name: what the catalog calls it.
        ends_at_once: how many calls of `end` one target of its kind bears at the same time.
    """

    name: str
    ends_at_once: int

    def preview(self, order: Order) -> Preview:
        """Say what the order would give, without calling anybody.

        Raises:
            Unfit: the provider could never serve it.
        """

    def reserve(self, order: Order) -> Reservation:
        """Set up the handle that will kill the credential; make nothing usable.

        Raises:
            Unfit, Declined, Away: no credential exists; anything half-made bears the lease id and dies by itself.
        """

    def issue(self, reservation: Reservation) -> Issued:
        """Make the credential, once, within ten seconds.

        Raises:
            Declined: it said no; nothing usable exists.
            OutcomeUnknown: everything else; the caller revokes.
        """

    def end(self, ref: LeaseRef) -> Answer:
        """Order the end, idempotently; ending what is gone succeeds.

        Raises:
            Away: not all of the order could be given; the caller repeats for ever.
        """

    def look(self, refs: Sequence[LeaseRef]) -> Mapping[str, Sighting]:
        """Look where each lease would work and say what was seen, by lease id; what cannot be looked at is `unknown`.

        Never raises for a provider's trouble: that is a sighting with standing `unknown`.
        """

    def received(self, ref: LeaseRef) -> bool | None:
        """Say whether the requester picked up a wrapped credential; None where that cannot be known."""

    def roll_call(self, targets: Sequence[Mapping[str, Any]]) -> Iterable[Stray]:
        """List, cheaply, everything at these targets that bears a lease id or sits where only leases may.

        Raises:
            Away: the listing is incomplete.
        """

    def end_stray(self, stray: Stray) -> Answer:
        """End something that `roll_call` found and the broker did not expect.

        Raises:
            Away: repeat later.
        """
