"""An approval in advance: a rule that two people countersigned stands for their approval, outside production."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AutomaticApproval:
    """That a request was approved by its rule, and by whom that rule was countersigned.

    Attributes:
        digest: of the request.
        rule: the digest of the rule.
        approvers: who proposed the rule and who approved it, in the order of their ids.
    """

    request_id: str
    digest: str
    rule: str
    requester: str
    approvers: tuple[str, str]
    at: datetime
