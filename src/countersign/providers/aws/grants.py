"""From an entitlement's statements and a request's parameters to policy statements, rendered piece by piece, and what they imply.

A parameter's value has passed the catalog's allow-list already; here it is judged once more by what AWS would read into it.
Values are put into ARNs and condition values between literal pieces, never into actions, keys or JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from countersign.domain.entitlement import LONGEST_PARAMETER
from countersign.providers.aws.settings import RoleTarget
from countersign.providers.base import Unfit

_SAFE_VALUE = re.compile(r"[A-Za-z0-9._/=@-]+", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([a-z0-9][a-z0-9_.-]{0,62})\}", re.ASCII)
_ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z*][A-Za-z0-9*]*", re.ASCII)
_CONDITION_OPERATOR = re.compile(r"(?:For(?:All|Any)Values:)?[A-Z][A-Za-z]+", re.ASCII)
_CONDITION_KEY = re.compile(r"[a-z0-9-]+:[A-Za-z0-9/_.:+=@-]+", re.ASCII)
_LITERAL = re.compile(r"[A-Za-z0-9._/=@:+*?, -]*", re.ASCII)

UNDOING = ("sts:AssumeRole*", "sts:Get*Token", "iam:*", "organizations:*")
"""What could undo or escape the end; denied in every session and refused in every entitlement."""

_HOUR = 3600
_OUTLIVING: tuple[tuple[str, int, str], ...] = (
    ("ecr:GetAuthorizationToken", 12 * _HOUR, "a registry token lives 12 h"),
    ("ecr-public:GetAuthorizationToken", 12 * _HOUR, "a registry token lives 12 h"),
    ("codeartifact:GetAuthorizationToken", 12 * _HOUR, "a repository token lives up to 12 h"),
    ("rds-db:connect", 900, "a login token lives 15 min, and a connection opened with it until it is closed"),
    ("dsql:DbConnect*", 900, "a login token lives 15 min, and a connection opened with it until it is closed"),
    ("redshift:GetClusterCredentials*", _HOUR, "a database password lives up to 1 h"),
    ("redshift-serverless:GetCredentials", _HOUR, "a database password lives up to 1 h"),
    ("s3express:CreateSession", 300, "a bucket session lives 5 min"),
    ("ssm:StartSession", 24 * _HOUR, "a shell that is open stays open, up to 24 h by Session Manager's own limit"),
    ("ecs:ExecuteCommand", 24 * _HOUR, "a shell that is open stays open, up to 24 h by Session Manager's own limit"),
    ("ec2-instance-connect:*", 60, "a pushed key is accepted for 60 s, and a login made with it until it is closed"),
    ("eks:AccessKubernetesApi", 900, "a cluster token lives 15 min"),
    ("cognito-identity:Get*", _HOUR, "identity pool credentials live 1 h"),
    ("sso:GetRoleCredentials", 12 * _HOUR, "role credentials live up to 12 h"),
    ("signin:*", 12 * _HOUR, "a console sign-in token lives up to 12 h"),
    ("s3:GetObject", 0, "a download that is running at the end runs on until it is complete"),
    ("kinesis:SubscribeToShard", 300, "an open subscription runs on for up to 5 min"),
    ("ec2:RunInstances", 0, "an instance that was started runs on, without end"),
    ("lambda:CreateFunction", 0, "a function that was made stays, without end"),
    ("lambda:UpdateFunctionCode", 0, "code that was put stays, without end"),
    ("lambda:AddPermission", 0, "a permission that was given stays, without end"),
    ("cloudformation:*Stack*", 0, "a stack runs on with its own rights, without end"),
    ("codebuild:StartBuild*", 8 * _HOUR, "a build that was started runs on with its own rights, up to 8 h"),
    ("states:StartExecution", 0, "an execution that was started runs on with its own rights, without end"),
    ("glue:StartJobRun", 0, "a job that was started runs on with its own rights, without end"),
    ("s3:PutBucketPolicy", 0, "a bucket policy that was put stays, without end"),
    ("kms:CreateGrant", 0, "a key grant that was made stays, without end"),
    ("secretsmanager:GetSecretValue", 0, "a secret that was read is known, without end"),
    ("ssm:GetParameter*", 0, "a value that was read is known, without end"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """One rendered statement: what may be done, to what, under which further conditions."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, tuple[str, ...]]]

    def lines(self) -> list[str]:
        """Return one exact line per action and resource, for the approver."""
        suffix = "".join(
            f" if {key} {operator} {', '.join(values)}"
            for operator, keys in self.conditions.items()
            for key, values in keys.items()
        )
        return [f"{action} on {resource}{suffix}" for action in self.actions for resource in self.resources]


def judge_values(parameters: Mapping[str, str]) -> None:
    """Refuse any value that AWS could read as more than a name.

    Raises:
        Unfit: naming `parameters.<name>`.
    """
    for name, value in parameters.items():
        if not isinstance(value, str) or not value:
            raise _bad_value(name, "must be a text and not empty")
        if len(value) > LONGEST_PARAMETER:
            raise _bad_value(name, f"is longer than {LONGEST_PARAMETER} characters")
        if _SAFE_VALUE.fullmatch(value) is None:
            raise _bad_value(name, "holds a character other than letters, digits and . _ / = @ -")
        if any(part in {"", ".", ".."} or ".." in part for part in value.split("/")):
            raise _bad_value(name, "holds an empty or dotted path segment")


def render(grants: Mapping[str, Any], parameters: Mapping[str, str], target: RoleTarget) -> tuple[Allowed, ...]:
    """Return the statements with the parameters in their places.

    Raises:
        Unfit: naming the statement or the parameter at fault.
    """
    judge_values(parameters)
    statements = grants.get("statements")
    if set(grants) != {"statements"} or not isinstance(statements, Sequence) or isinstance(statements, str):
        raise Unfit("grants takes one list, statements", field="grants.statements")
    if not statements:
        raise Unfit("grants.statements is empty: it would give nothing", field="grants.statements")
    return tuple(_statement(index, given, parameters, target) for index, given in enumerate(statements))


def residuals(allowed: Sequence[Allowed]) -> tuple[tuple[str, ...], int]:
    """Return what can outlive the box, a line each, and the seconds by which the longest known of it does."""
    lines, longest = [], 0
    for pattern, seconds, words in _OUTLIVING:
        covered = [a for item in allowed for a in item.actions if _overlap(a, pattern)]
        if covered:
            lines.append(f"box not enforceable for {covered[0]}: {words}")
            longest = max(longest, seconds)
    return tuple(lines), longest


def _statement(index: int, given: object, parameters: Mapping[str, str], target: RoleTarget) -> Allowed:
    where = f"grants.statements[{index}]"
    if not isinstance(given, Mapping) or not {"actions", "resources"} <= set(given):
        raise Unfit(f"{where} takes actions, resources and, if need be, conditions", field=where)
    if set(given) - {"actions", "resources", "conditions"}:
        raise Unfit(f"{where} takes actions, resources and conditions only", field=where)
    actions = _texts(given["actions"], f"{where}.actions")
    for action in actions:
        _judge_action(action, f"{where}.actions")
    resources = tuple(
        _resource(text, f"{where}.resources", parameters, target)
        for text in _texts(given["resources"], f"{where}.resources")
    )
    return Allowed(
        actions=tuple(actions),
        resources=resources,
        conditions=_conditions(given.get("conditions", {}), f"{where}.conditions", parameters),
    )


def _judge_action(action: str, where: str) -> None:
    if _ACTION.fullmatch(action) is None:
        raise Unfit(f"{where}: {action[:60]!r} is not service:Action", field=where)
    for pattern in UNDOING:
        if _overlap(action, pattern):
            raise Unfit(f"{where}: {action} could undo or escape the end and is never given", field=where)


def _resource(text: str, where: str, parameters: Mapping[str, str], target: RoleTarget) -> str:
    if text == "*":
        return text
    pieces = text.split(":", 5)
    if len(pieces) != 6 or pieces[0] != "arn" or not all(pieces[index] for index in (1, 2, 5)):  # noqa: PLR2004 - an ARN has six parts
        raise Unfit(f"{where}: {text[:80]!r} is neither an ARN nor *", field=where)
    if pieces[1] != target.partition or pieces[4] not in {"", target.account, "aws"}:
        raise Unfit(f"{where}: {text[:80]!r} lies in another partition or account", field=where)
    if any(sign in piece for piece in pieces[:5] for sign in "{}*?"):
        raise Unfit(f"{where}: only the last part of an ARN takes a parameter or a wildcard", field=where)
    rendered = _fill(pieces[5], where, parameters, slashes_after_the_first=True)
    return ":".join([*pieces[:5], rendered])


def _conditions(given: object, where: str, parameters: Mapping[str, str]) -> dict[str, dict[str, tuple[str, ...]]]:
    if not isinstance(given, Mapping):
        raise Unfit(f"{where} must be a table", field=where)
    rendered: dict[str, dict[str, tuple[str, ...]]] = {}
    for operator, keys in given.items():
        if _CONDITION_OPERATOR.fullmatch(str(operator)) is None or not isinstance(keys, Mapping):
            raise Unfit(f"{where}: {str(operator)[:60]!r} is not an operator with keys", field=where)
        if any(str(key).lower() == "aws:currenttime" for key in keys):
            raise Unfit(f"{where}: aws:CurrentTime is the box's own", field=where)
        for key, values in keys.items():
            if _CONDITION_KEY.fullmatch(str(key)) is None:
                raise Unfit(f"{where}: {str(key)[:60]!r} is not a condition key", field=where)
            texts = [values] if isinstance(values, str) else _texts(values, where)
            filled = tuple(_fill(text, where, parameters, slashes_after_the_first=False) for text in texts)
            rendered.setdefault(str(operator), {})[str(key)] = filled
    return rendered


def _fill(text: str, where: str, parameters: Mapping[str, str], *, slashes_after_the_first: bool) -> str:
    """Put values between the literal pieces of `text`; in an ARN's first segment (a bucket, say) a value holds no slash."""
    done: list[str] = []
    at = 0
    for match in _PLACEHOLDER.finditer(text):
        done.append(_literal(text[at : match.start()], where))
        name, at = match.group(1), match.end()
        if name not in parameters:
            raise Unfit(
                f"{where} names the parameter {name}, which the request does not have", field=f"parameters.{name}"
            )
        value = parameters[name]
        if slashes_after_the_first and "/" in value and "/" not in "".join(done):
            raise _bad_value(name, "holds a slash where a single name is meant")
        done.append(value)
    done.append(_literal(text[at:], where))
    return "".join(done)


def _literal(piece: str, where: str) -> str:
    if _LITERAL.fullmatch(piece) is None:
        raise Unfit(f"{where}: {piece[:60]!r} holds a character that has no place there", field=where)
    return piece


def _texts(given: object, where: str) -> list[str]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise Unfit(f"{where} must be a list of texts, not empty", field=where)
    texts = [item for item in given if isinstance(item, str)]
    if len(texts) != len(given):
        raise Unfit(f"{where} must be a list of texts", field=where)
    return texts


def _overlap(action: str, pattern: str) -> bool:
    """Say whether two action patterns share an action; names of actions are compared as AWS does, in any case."""
    mine, other = action.lower(), pattern.lower()
    if fnmatchcase(mine, other) or fnmatchcase(other, mine):
        return True
    head, tail = mine.partition("*")[0], other.partition("*")[0]
    return "*" in mine and "*" in other and (head.startswith(tail) or tail.startswith(head))


def _bad_value(name: str, what: str) -> Unfit:
    return Unfit(f"parameters.{name} {what}", field=f"parameters.{name}")
