"""Failures as the command line tells them: what happened, by which rule, what to do next, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes; stable."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DENIED = 3
    NOT_SIGNED_IN = 4
    OVER = 5
    """Expired, revoked, or not found."""
    FORBIDDEN = 6
    AWAY = 7
    """The broker or a provider is down."""
    PENDING = 8
    INTERRUPTED = 130
    UNREAD = 141
    """Whoever read the output had gone before there was any; as a shell counts SIGPIPE."""


class CommandFailed(Exception):
    """A command came to nothing, and says why.

    Args:
        detail: what happened, in a sentence; never holds a secret.
        exit_code: which kind of failure it is.
        code: the stable code, the broker's own where it gave one.
        rule: the rule that refused.
        hint: what to do next.
        field: the input field at fault.
        incident: under which the broker's operator finds a fault.
    """

    def __init__(
        self,
        detail: str,
        *,
        exit_code: Exit = Exit.FAILURE,
        code: str = "failed",
        rule: str | None = None,
        hint: str | None = None,
        field: str | None = None,
        incident: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.exit_code = exit_code
        self.detail = detail
        self.code = code
        self.rule = rule
        self.hint = hint
        self.field = field
        self.incident = incident

    def lines(self) -> list[str]:
        """Return the block for a person, one line a part; several problems, one a line of the detail, below a heading."""
        heading, *problems = self.detail.splitlines() or [""]
        if problems and not heading.endswith(":"):
            heading, problems = f"{1 + len(problems)} problems", [heading, *problems]
        return [
            f"countersign: {heading.removesuffix(':')} ({self.code})",
            *(f"  {problem}" for problem in problems),
            *(f"  {name + ':':<6} {text}" for name, text in self._parts().items()),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the failure for a machine."""
        told: dict[str, Any] = {"code": self.code, "detail": self.detail, "exit_code": int(self.exit_code)}
        return told | self._parts()

    def _parts(self) -> dict[str, str]:
        parts = {"field": self.field, "rule": self.rule, "next": self.hint, "incident": self.incident}
        return {name: text for name, text in parts.items() if text}


EXIT_OF_CODE: Mapping[str, Exit] = {
    "unauthenticated": Exit.NOT_SIGNED_IN,
    "not-found": Exit.OVER,
    "window-over": Exit.OVER,
    "wrong-state": Exit.OVER,
    "self-review": Exit.FORBIDDEN,
    "not-eligible": Exit.FORBIDDEN,
    "not-permitted": Exit.FORBIDDEN,
    "not-yours": Exit.FORBIDDEN,
    "nobody-can-approve": Exit.FORBIDDEN,
    "draws-exhausted": Exit.FORBIDDEN,
    "rule-changed": Exit.FORBIDDEN,
    "approval-void": Exit.FORBIDDEN,
    "limit": Exit.FORBIDDEN,
    "stopped": Exit.FORBIDDEN,
    "signature-required": Exit.FORBIDDEN,
    "bad-signature": Exit.FORBIDDEN,
    "cloned-authenticator": Exit.FORBIDDEN,
    "log-rewound": Exit.FORBIDDEN,
    "rules-forged": Exit.FORBIDDEN,
    "order-required": Exit.FORBIDDEN,
    "order-void": Exit.FORBIDDEN,
    "approval-unsigned": Exit.FORBIDDEN,
    "rules-unsigned": Exit.FORBIDDEN,
    "retention-holds": Exit.FORBIDDEN,
    "invalid": Exit.USAGE,
    "too-large": Exit.USAGE,
    "wrong-digest": Exit.FAILURE,
    "review-outstanding": Exit.FORBIDDEN,
    "already-reviewed": Exit.FAILURE,
    "already-delivered": Exit.FAILURE,
    "idempotency-key-reused": Exit.FAILURE,
    "conflict": Exit.FAILURE,
    "provider-refused": Exit.FAILURE,
    "identity-refused": Exit.NOT_SIGNED_IN,
    "identity-away": Exit.AWAY,
    "cross-site": Exit.FORBIDDEN,
    "second-factor-missing": Exit.FORBIDDEN,
    "provider-away": Exit.AWAY,
    "issuer-away": Exit.AWAY,
    "not-cosigned": Exit.AWAY,
    "log-unavailable": Exit.AWAY,
}
"""What the broker's codes mean to a script."""

EXIT_OF_STATUS: Mapping[int, Exit] = {
    400: Exit.USAGE,
    401: Exit.NOT_SIGNED_IN,
    403: Exit.FORBIDDEN,
    404: Exit.OVER,
    410: Exit.OVER,
    413: Exit.USAGE,
    422: Exit.USAGE,
    429: Exit.FORBIDDEN,
}
"""For codes that this version does not know."""

_FIRST_SERVER_FAULT = 500
_SIGN_IN = "countersign login (or set COUNTERSIGN_TOKEN to a token that is in force)"


def usage(detail: str, *, hint: str | None = None, field: str | None = None) -> CommandFailed:
    """Return the failure for input that cannot be what was meant."""
    return CommandFailed(detail, exit_code=Exit.USAGE, code="usage", hint=hint, field=field)


def of_problem(status: int, problem: Mapping[str, Any]) -> CommandFailed:
    """Return the failure that the broker's answer tells of.

    Args:
        status: of the HTTP answer.
        problem: its body (RFC 9457), empty where it was none.
    """

    def text(name: str) -> str | None:
        value = problem.get(name)
        return value if isinstance(value, str) and value else None

    code = text("code") or f"http-{status}"
    by_status = Exit.AWAY if status >= _FIRST_SERVER_FAULT else EXIT_OF_STATUS.get(status, Exit.FAILURE)
    exit_code = EXIT_OF_CODE.get(code, by_status)
    return CommandFailed(
        text("detail") or text("title") or f"the broker answered {status} and did not say why",
        exit_code=exit_code,
        code=code,
        rule=text("rule"),
        hint=text("next") or _hint(exit_code, told=bool(problem)),
        field=text("field"),
        incident=text("incident"),
    )


def _hint(exit_code: Exit, *, told: bool) -> str | None:
    """Say what to do next where the broker did not; `told` says whether it was the broker that answered at all."""
    if exit_code is Exit.NOT_SIGNED_IN:
        return _SIGN_IN
    return None if told else "that was no broker's word: check COUNTERSIGN_URL, and what stands before the broker"
