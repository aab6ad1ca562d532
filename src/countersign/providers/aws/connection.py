"""The clients to AWS, one set per principal, with short time-outs and no retries, and what their errors mean."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)

from countersign.providers.aws.settings import AwsPrincipal, AwsSettings
from countersign.providers.base import Away, Declined

CONNECT_S = 2.0
ISSUE_READ_S = 8.0
QUICK_READ_S = 3.0
"""For everything but the dangerous call, so that two calls in a row stay within ten seconds."""

NOTHING_SENT = (EndpointConnectionError, ConnectTimeoutError, NoCredentialsError)
BUSY = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown"})
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}", re.ASCII)


class Connection:
    """All clients that the provider uses; they may be shared between threads."""

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings
        self._making = threading.Lock()
        self._plain = boto3.Session(region_name=settings.region)
        assumer, revoker = self._session(settings.assumer), self._session(settings.revoker)
        self.issuing_sts = self._client(assumer, "sts", settings.assumer, read_s=ISSUE_READ_S)
        self.sts = self._client(assumer, "sts", settings.assumer, read_s=QUICK_READ_S)
        self.iam = self._client(revoker, "iam", settings.revoker, read_s=QUICK_READ_S)

    def as_session(self, service: str, region: str, credentials: dict[str, Any]) -> Any:  # noqa: ANN401 - boto3 clients have no types
        """Return a client that acts as a session just minted (a canary)."""
        with self._making:
            return self._plain.client(
                service,
                region_name=region,
                endpoint_url=self._settings.endpoint_url,
                aws_access_key_id=credentials["AccessKeyId"],
                aws_secret_access_key=credentials["SecretAccessKey"],
                aws_session_token=credentials["SessionToken"],
                config=_config(QUICK_READ_S, service),
            )

    def _session(self, principal: AwsPrincipal) -> Any:  # noqa: ANN401 - as above
        return boto3.Session(region_name=self._settings.region, profile_name=principal.profile)

    def _client(self, session: Any, service: str, principal: AwsPrincipal, *, read_s: float) -> Any:  # noqa: ANN401 - as above
        return session.client(
            service,
            endpoint_url=self._settings.endpoint_url,
            aws_access_key_id=principal.access_key_id,
            aws_secret_access_key=principal.secret_access_key,
            aws_session_token=principal.session_token,
            config=_config(read_s, service),
        )


def _config(read_s: float, service: str) -> Config:
    extra: dict[str, Any] = {"s3": {"addressing_style": "path"}} if service == "s3" else {}
    return Config(
        connect_timeout=CONNECT_S,
        read_timeout=read_s,
        retries={"total_max_attempts": 1},
        max_pool_connections=32,
        tcp_keepalive=True,
        **extra,
    )


def code_of(error: ClientError) -> str:
    """Return AWS's error code; text that is no code is not repeated."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else "unreadable"


def status_of(error: ClientError) -> int:
    """Return the HTTP status of an error, 0 where there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn errors of harmless calls into the seam's: `Declined` for a no, `Away` for everything else."""
    try:
        yield
    except ClientError as error:
        code, status = code_of(error), status_of(error)
        if 400 <= status < 500 and code not in BUSY:  # noqa: PLR2004 - the class of HTTP's client errors
            raise Declined(f"AWS refused {what}: {code}") from None
        raise Away(f"AWS failed at {what}: {code}") from None
    except BotoCoreError as error:
        raise Away(f"AWS could not be asked for {what}: {type(error).__name__}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise Away(f"AWS answered {what} with something unreadable: {type(error).__name__}") from None
