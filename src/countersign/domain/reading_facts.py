"""Facts of reading: what an auditor looked at, and an approver's first look at a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from countersign.domain.facts import Fact


@dataclass(frozen=True, kw_only=True)
class AuditAsked(Fact):
    """Somebody asked the log a question, and was told of so many things."""

    type = "audit.asked"
    principal: str
    question: str
    about: Mapping[str, Any]
    count: int


@dataclass(frozen=True, kw_only=True)
class AuditRead(Fact):
    """An auditor was shown what this call answers with; `about` are the words of the call."""

    type = "audit.read"
    principal: str
    call: str
    about: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RequestSeen(Fact):
    """Somebody who may sign a request was shown it for the first time."""

    type = "request.seen"
    principal: str
