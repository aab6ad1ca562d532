"""Makes what carries the log outside: streams, notices and the locked copy."""

from __future__ import annotations

import ssl
from datetime import timedelta

from countersign.bootstrap.clock import now
from countersign.bootstrap.record_sources import aws_principal
from countersign.config.sections import ArchiveBucket, WebhookAccess
from countersign.config.settings import Settings
from countersign.config.webhooksecret import read_webhook_secret
from countersign.domain.facts import BROKER
from countersign.domain.log_facts import CheckpointClock
from countersign.providers.kernel_clock import kernel_clock
from countersign.service.archiving import Archive
from countersign.service.followers import Follower
from countersign.service.notices import Notices, UnaddressedNotices
from countersign.service.rules import RuleReader
from countersign.service.streams.destination import Destination
from countersign.service.streams.file import LineFile
from countersign.service.streams.webhook import Receiver, Webhook
from countersign.store import Store


def make_outlets(store: Store, settings: Settings) -> list[Follower]:
    """Return what sends the log, or notices of it, to the outside that the settings name."""
    receivers = {name: _receiver(name, access) for name, access in settings.webhooks.items()}
    streams = [Webhook(receiver=receivers[name]) for name, access in settings.webhooks.items() if access.stream]
    files = [] if settings.stream_path is None else [LineFile(path=settings.stream_path)]
    rules = RuleReader()
    return [
        *streams,
        *files,
        *(Notices(store=store, rules=rules, receiver=receiver) for receiver in receivers.values()),
        UnaddressedNotices(store=store, rules=rules, known=frozenset(receivers)),
    ]


def make_archive(access: ArchiveBucket) -> Archive:
    """Return the bucket that the log is copied to."""
    from countersign.providers.archive import open_archive  # noqa: PLC0415 - a broker without one never loads boto3

    return open_archive(
        access.bucket,
        prefix=access.prefix,
        principal=aws_principal(access),
        region=access.region,
        endpoint_url=access.endpoint_url,
    )


def _receiver(name: str, access: WebhookAccess) -> Receiver:
    return Receiver(
        name=name,
        destination=Destination(url=access.url, allow_private=access.allow_private),
        secret=read_webhook_secret(access.secret.get_secret_value()),
        clock=now,
        context=ssl.create_default_context(cafile=access.ca_file) if access.ca_file else None,
    )


def state_clock(store: Store) -> CheckpointClock:
    """Return what is known of the clock by which entries are written."""
    offset, kernel = store.clock_offset(), kernel_clock()
    return CheckpointClock(
        actor=f"{BROKER}/checkpoint",
        subject="clock",
        source="system" if offset is None else "database",
        offset_ms=None if offset is None else round(offset / timedelta(milliseconds=1)),
        synchronised=None if kernel is None else kernel.synchronised,
        error_ms=None if kernel is None else kernel.error_ms,
    )
