"""What the AWS provider is told: where AWS is, the two principals it acts as, and the role behind one target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from countersign.providers.base import Unfit

SHORTEST_STS_SESSION_S = 900
LONGEST_CHAINED_SESSION_S = 3600
LONGEST_STS_SESSION_S = 43_200
DEFAULT_STS_SESSION_S = 3600
INLINE_BUDGET_CHARACTERS = 10_240
"""What AWS allows all inline policies of one role together, white space not counted."""

PROBES = ("s3:GetObject", "s3:ListBucket", "ec2:DescribeRegions")

_ROLE_ARN = re.compile(r"arn:(aws(?:-[a-z]+)*):iam::(\d{12}):role/((?:[\w+=,.@-]+/)*)([\w+=,.@-]{1,64})", re.ASCII)
_BUCKET = re.compile(r"arn:aws(?:-[a-z]+)*:s3:::([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])", re.ASCII)
_OBJECT = re.compile(_BUCKET.pattern + r"/([A-Za-z0-9._/=@-]{1,512})", re.ASCII)
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d", re.ASCII)
_KNOWN = frozenset(
    {"role_arn", "account", "region", "max_session_s", "chained", "probe", "inline_policies", "open_leases"}
)


@dataclass(frozen=True, kw_only=True)
class AwsPrincipal:
    """One identity of ours at AWS: a profile of the AWS configuration (for production), or keys (for the embedded stack)."""

    profile: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """What tells one principal from another; no secret."""
        return f"profile {self.profile}" if self.profile else f"key {self.access_key_id}"


@dataclass(frozen=True, kw_only=True)
class AwsSettings:
    """Where AWS is and who we are there.

    Attributes:
        assumer: may assume the target roles and nothing else.
        revoker: may write inline policies of the target roles and nothing else; never the same principal.
        endpoint_url: one address for all services (an emulator); None means AWS's own.
    """

    assumer: AwsPrincipal
    revoker: AwsPrincipal
    region: str = "us-east-1"
    endpoint_url: str | None = None

    def __post_init__(self) -> None:
        """Refuse one principal in both parts: whoever may write the Deny could write anything."""
        if self.assumer.label == self.revoker.label:
            raise ValueError("the principal that revokes must not be the one that assumes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One harmless call that the target role may make: what a canary tries.

    Attributes:
        action: one of `PROBES`.
        resource: the ARN it is tried on (`*` for ec2:DescribeRegions).
    """

    action: str
    resource: str

    @property
    def bucket(self) -> str:
        """The bucket of an S3 probe."""
        return self.resource.partition(":::")[2].partition("/")[0]

    @property
    def key(self) -> str:
        """The object of an s3:GetObject probe."""
        return self.resource.partition("/")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleTarget:
    """A target of kind `aws-role`: the role that sessions are made of.

    Attributes:
        max_session_s: the role's own MaxSessionDuration.
        chained: the broker itself runs on a role, so AWS caps every session at one hour.
        inline_policies: names of inline policies that are known to belong on the role besides ours.
        open_leases: how many leases may need an early end at once; room for them is kept free.
    """

    id: str
    role_arn: str
    partition: str
    account: str
    role_name: str
    region: str
    max_session_s: int = DEFAULT_STS_SESSION_S
    chained: bool = False
    probe: Probe | None = None
    inline_policies: tuple[str, ...] = ()
    open_leases: int = 50

    @property
    def longest_session_s(self) -> int:
        """The longest session AWS will make of this role for us."""
        return min(self.max_session_s, LONGEST_CHAINED_SESSION_S) if self.chained else self.max_session_s

    @classmethod
    def of(cls, target: Mapping[str, Any], *, default_region: str) -> RoleTarget:
        """Return the target that plain JSON describes.

        Raises:
            Unfit: naming the setting that AWS would not take.
        """
        settings = target.get("settings", {})
        unknown = sorted(set(settings) - _KNOWN)
        if unknown:
            raise _unfit(unknown[0], "is not a setting of an aws-role target")
        match = _ROLE_ARN.fullmatch(_text(settings, "role_arn"))
        if match is None:
            raise _unfit("role_arn", "is not the ARN of an IAM role")
        partition, account, _, role_name = match.groups()
        if settings.get("account", account) != account:
            raise _unfit("account", "is not the account of role_arn")
        region = settings.get("region", default_region)
        if not isinstance(region, str) or _REGION.fullmatch(region) is None:
            raise _unfit("region", "is not a region")
        chained = settings.get("chained", False)
        if not isinstance(chained, bool):
            raise _unfit("chained", "must be true or false")
        inline = settings.get("inline_policies", ())
        if isinstance(inline, str) or not all(isinstance(name, str) for name in inline):
            raise _unfit("inline_policies", "must be a list of policy names")
        return cls(
            id=str(target.get("id", "")),
            role_arn=settings["role_arn"],
            partition=partition,
            account=account,
            role_name=role_name,
            region=region,
            max_session_s=_whole(settings, "max_session_s", DEFAULT_STS_SESSION_S, 3600, LONGEST_STS_SESSION_S),
            chained=chained,
            probe=_probe(settings.get("probe"), partition),
            inline_policies=tuple(inline),
            open_leases=_whole(settings, "open_leases", 50, 1, 300),
        )


def _probe(given: object, partition: str) -> Probe | None:
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) - {"action", "resource"} or given.get("action") not in PROBES:
        raise _unfit("probe", f"takes an action ({', '.join(PROBES)}) and a resource")
    probe = Probe(action=given["action"], resource=given.get("resource", "*"))
    shape = {"s3:GetObject": _OBJECT, "s3:ListBucket": _BUCKET}.get(probe.action)
    if shape is None:
        fits = probe.resource == "*"
    else:
        fits = shape.fullmatch(probe.resource) is not None and probe.resource.startswith(f"arn:{partition}:")
    if not fits:
        raise _unfit("probe", f"names a resource that {probe.action} cannot be tried on")
    return probe


def _text(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    if not isinstance(value, str):
        raise _unfit(name, "must be a text")
    return value


def _whole(settings: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = settings.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise _unfit(name, f"must be a whole number from {low} to {high}")
    return value


def _unfit(name: str, what: str) -> Unfit:
    return Unfit(f"target.settings.{name} {what}", field=f"target.settings.{name}")
