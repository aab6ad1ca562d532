"""A copy that nobody can change: objects in S3 under Object Lock in compliance mode, each looked at after it was written.

In compliance mode nobody, root of the account included, deletes a version or shortens its retention. Somebody may still put
another version over it or hide it with a delete marker; so nothing is ever written twice here, and readers count versions.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5, sha256
from typing import Any

from botocore.exceptions import ClientError

from countersign.providers.aws.connection import asking, code_of, reading_client
from countersign.providers.aws.settings import AwsPrincipal
from countersign.providers.base import ArchiveDiffers

TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
SLACK = timedelta(seconds=1)
"""S3 keeps whole seconds."""


@dataclass(frozen=True, kw_only=True)
class S3Archive:
    """A bucket with versions and Object Lock.

    Attributes:
        client: boto3's, of an identity that may put and look, and neither delete nor bypass.
        prefix: before each path, with its slash; may be empty.
    """

    client: Any
    bucket: str
    prefix: str = ""

    def keep(self, path: str, raw: bytes, *, until: datetime, held: bool = False) -> None:
        """Write an object once, locked until a moment, and see that it lies there as it should; the same again is well.

        Args:
            path: below the prefix; it stands for these bytes for ever.
            raw: the content.
            until: nobody removes it earlier.
            held: put it under legal hold too, which has no end of its own.

        Raises:
            ArchiveDiffers: other bytes lie there, or the lock is not what was asked for.
            ProviderTrouble: S3 is away or says no.
        """
        key, digest = self.prefix + path, base64.b64encode(sha256(raw).digest()).decode()
        hold = {"ObjectLockLegalHoldStatus": "ON"} if held else {}
        with asking(f"to keep {path}"):
            try:
                self.client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=raw,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=digest,
                    ContentMD5=base64.b64encode(md5(raw, usedforsecurity=False).digest()).decode(),
                    ObjectLockMode="COMPLIANCE",
                    ObjectLockRetainUntilDate=until,
                    IfNoneMatch="*",
                    **hold,
                )
                is_new = True
            except ClientError as error:
                if code_of(error) not in TAKEN:
                    raise
                is_new = False
            found = self.client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        if found.get("ContentLength") != len(raw) or found.get("ChecksumSHA256") != digest:
            raise ArchiveDiffers(f"other bytes lie at {path}")
        if found.get("ObjectLockMode") != "COMPLIANCE":
            raise ArchiveDiffers(f"{path} is not locked in compliance mode")
        if is_new and found["ObjectLockRetainUntilDate"] < until - SLACK:
            raise ArchiveDiffers(f"{path} is locked for less long than was asked for")
        if is_new and held and found.get("ObjectLockLegalHoldStatus") != "ON":
            raise ArchiveDiffers(f"{path} is not under legal hold")


def open_archive(
    bucket: str, *, prefix: str, principal: AwsPrincipal, region: str, endpoint_url: str | None
) -> S3Archive:
    """Return the archive in a bucket; nothing is asked of it yet."""
    client = reading_client("s3", principal, region=region, endpoint_url=endpoint_url)
    return S3Archive(client=client, bucket=bucket, prefix=prefix)
