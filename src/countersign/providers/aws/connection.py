"""The clients to AWS, one set per principal, with short time-outs and no retries, and what their errors mean."""

from __future__ import annotations

import logging
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
from botocore.parsers import ResponseParserError

from countersign.providers.aws.settings import AwsPrincipal, AwsSettings
from countersign.providers.base import Away, Declined

# At DEBUG, botocore writes whole answers into the log: the keys that STS just made, too.
for _name in ("botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CONNECT_S = 2.0
ISSUE_READ_S = 8.0
QUICK_READ_S = 3.0
"""For everything but the dangerous call, so that two calls in a row stay within ten seconds."""

UNREADABLE = (BotoCoreError, ResponseParserError, ValueError, KeyError, TypeError)
"""What comes of an answer that is missing, cut off or not AWS's."""

NOTHING_SENT = (EndpointConnectionError, ConnectTimeoutError, NoCredentialsError)
BUSY = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown"})
UNKNOWN_CODE = "unreadable"
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
                config=_config(QUICK_READ_S, service, direct=self._settings.endpoint_url is not None),
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
            config=_config(read_s, service, direct=self._settings.endpoint_url is not None),
        )


def reading_client(service: str, principal: AwsPrincipal, *, region: str, endpoint_url: str | None) -> Any:  # noqa: ANN401 - as above
    """Return a client of a principal that only reads."""
    return boto3.Session(region_name=region, profile_name=principal.profile).client(
        service,
        endpoint_url=endpoint_url,
        aws_access_key_id=principal.access_key_id,
        aws_secret_access_key=principal.secret_access_key,
        aws_session_token=principal.session_token,
        config=_config(QUICK_READ_S, service, direct=endpoint_url is not None),
    )


def _config(read_s: float, service: str, *, direct: bool) -> Config:
    """Return time-outs and no retries; an endpoint of our own is reached directly, whatever proxy the environment names."""
    extra: dict[str, Any] = {"s3": {"addressing_style": "path"}} if service == "s3" and direct else {}
    if direct:
        extra["proxies"] = {}
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
    return code if _CODE.fullmatch(code) else UNKNOWN_CODE


def is_refusal(error: ClientError) -> bool:
    """Say whether AWS, and nothing in between, understood and said no."""
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = code_of(error)
    return 400 <= status < 500 and not code.isdigit() and code != UNKNOWN_CODE  # noqa: PLR2004 - HTTP's client errors


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn errors of harmless calls into the seam's: `Declined` for a no, `Away` for everything else."""
    try:
        yield
    except ClientError as error:
        if is_refusal(error) and code_of(error) not in BUSY:
            raise Declined(f"AWS refused {what}: {code_of(error)}") from None
        raise Away(f"AWS failed at {what}: {code_of(error)}") from None
    except UNREADABLE as error:
        raise Away(f"AWS could not be asked for {what}: {type(error).__name__}") from None
