"""Makes the sources of other people's records that the settings declare; what is not declared is not read, and is not guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.config.sections import Aws, AwsAccount, TargetAccess
from countersign.config.settings import Settings
from countersign.providers.records import RecordSource

if TYPE_CHECKING:
    from countersign.providers.aws import AwsPrincipal


def make_sources(settings: Settings) -> list[RecordSource]:
    """Return the sources, each library loaded only for a source that is declared. Nothing is read yet."""
    made: list[RecordSource] = []
    if settings.openbao is not None and settings.openbao.audit_log is not None:
        from countersign.providers.vault.audit import OpenBaoAudit  # noqa: PLC0415 - see the docstring

        made.append(OpenBaoAudit(settings.openbao.audit_log))
    for name, access in settings.targets.items():
        made += _of_target(name, access)
    if settings.aws is not None and settings.aws.reader is not None:
        made.append(_trail(settings.aws, settings.aws.reader))
    return made


def aws_principal(account: AwsAccount) -> AwsPrincipal:
    """Return an identity at AWS as the provider wants it."""
    from countersign.providers.aws import AwsPrincipal  # noqa: PLC0415 - a broker without AWS never loads boto3

    return AwsPrincipal(
        profile=account.profile,
        access_key_id=account.access_key_id.get_secret_value() if account.access_key_id else None,
        secret_access_key=account.secret_access_key.get_secret_value() if account.secret_access_key else None,
    )


def _of_target(name: str, access: TargetAccess) -> list[RecordSource]:
    from countersign.providers.target.activity import PostgresActivity  # noqa: PLC0415 - as for make_sources
    from countersign.providers.target.client import PostgresTarget  # noqa: PLC0415 - as for make_sources

    made: list[RecordSource] = [PostgresActivity(name, PostgresTarget(access.dsn.get_secret_value()))]
    if access.log is not None:
        from countersign.providers.target.log import PostgresLog  # noqa: PLC0415 - as for make_sources

        made.append(PostgresLog(name, access.log))
    return made


def _trail(aws: Aws, reader: AwsAccount) -> RecordSource:
    from countersign.providers.aws.connection import reading_client  # noqa: PLC0415 - as for make_sources
    from countersign.providers.aws.trail import CloudTrail  # noqa: PLC0415 - as for make_sources

    account = aws_principal(reader)
    return CloudTrail(reading_client("cloudtrail", account, region=aws.region, endpoint_url=aws.endpoint_url))
