"""CloudTrail as a source of records: what a lease's session did at AWS, asked for by the session's name, which is the lease.

CloudTrail tells minutes late and promises no time; `LookupEvents` may be called twice a second in an account and region. So it is
asked for few leases at a time, each about once a minute, and what it says only ever shortens. It knows management events alone:
reading an object, an item or a message is none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from countersign.domain.records import Act, Outcome, Record, in_a_line
from countersign.domain.timestamps import trim
from countersign.providers.aws.connection import asking
from countersign.providers.base import Away, Declined, LeaseRef
from countersign.providers.records import Batch

AT_ONCE = 2
"""Leases asked about in one reading; with one reading a second that keeps within what AWS allows."""
AGAIN_AFTER_S = 60.0
ASKED_FOR_S = 300.0
"""For so long a lease counts as asked about."""
MOST_PAGES = 4
REMEMBERED = 500
DATA_SERVICES = frozenset(
    {"s3", "s3express", "dynamodb", "dax", "lambda", "sqs", "sns", "kinesis", "firehose", "execute-api", "appsync"}
    | {
        "rds-db",
        "rds-data",
        "redshift-data",
        "timestream",
        "cassandra",
        "es",
        "aoss",
        "logs",
        "cloudwatch",
        "ssmmessages",
    }
)
"""Services of whose use CloudTrail's history leaves most out: reading and writing what they hold are data events."""
_REFUSED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation"})


class CloudTrail:
    """Looks up what sessions named by leases did; see `RecordSource`.

    Args:
        client: a boto3 CloudTrail client of a principal that may call LookupEvents and nothing else.
        provider: the catalog's name for the provider whose sessions these are.
        monotonic: seconds between questions.
    """

    delay = timedelta(minutes=20)
    every = timedelta(seconds=1)
    by_lease = True
    tells_acts = True

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - boto3 clients have no types
        *,
        provider: str = "aws",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"cloudtrail {provider}"
        self._client = client
        self._provider = provider
        self._monotonic = monotonic
        self._asked: dict[str, float] = {}

    def begin(self) -> Mapping[str, Any]:
        """Return an empty cursor: it holds, by lease, the events that were told."""
        return {}

    def read(self, cursor: Mapping[str, Any], leases: Sequence[LeaseRef]) -> Batch:
        """Ask about the leases that were not asked about for the longest."""
        told: dict[str, list[str]] = {ref.lease_id: list(cursor.get(ref.lease_id, ())) for ref in leases}
        now = self._monotonic()
        self._asked = {lease: at for lease, at in self._asked.items() if lease in told}
        due = [ref for ref in leases if now - self._asked.get(ref.lease_id, float("-inf")) >= AGAIN_AFTER_S]
        due.sort(key=lambda ref: self._asked.get(ref.lease_id, float("-inf")))
        records: list[Record] = []
        for ref in due[:AT_ONCE]:
            for event_id, record in self._events(ref):
                if event_id not in told[ref.lease_id]:
                    told[ref.lease_id] = [*told[ref.lease_id], event_id][-REMEMBERED:]
                    records.append(record)
            self._asked[ref.lease_id] = now
        asked = frozenset(lease for lease, at in self._asked.items() if now - at < ASKED_FOR_S)
        return Batch(records=tuple(records), cursor={each: ids for each, ids in told.items() if ids}, asked=asked)

    def concerns(self, target: Mapping[str, Any]) -> bool:
        """Say whether the target's sessions are AWS's."""
        return target.get("provider") == self._provider and target.get("kind") == "aws-role"

    def blind_to(self, grants: Mapping[str, Any]) -> str | None:
        """Name the service whose use makes data events, which CloudTrail's history does not hold."""
        services = {action.partition(":")[0].lower() for action in _actions(grants)}
        unseen = sorted(services & DATA_SERVICES or (services if "*" in services else set()))
        return f"the use of {unseen[0]}, which CloudTrail's history leaves out" if unseen else None

    def _events(self, ref: LeaseRef) -> Iterator[tuple[str, Record]]:
        """Yield what a session did, with each event's id.

        Raises:
            Away: CloudTrail cannot be asked, or says no.
        """
        arguments: dict[str, Any] = {
            "LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": ref.lease_id}],
            "StartTime": ref.prepared_at - timedelta(seconds=60),
            "MaxResults": 50,
        }
        for _ in range(MOST_PAGES):
            try:
                with asking("what a session did"):
                    answer = self._client.lookup_events(**arguments)
            except Declined as no:
                raise Away(str(no)) from None
            for event in answer.get("Events", ()):
                record = record_of(event, ref.lease_id)
                if record is not None:
                    yield record.mark, record
            if not answer.get("NextToken"):
                return
            arguments["NextToken"] = answer["NextToken"]


def record_of(event: Mapping[str, Any], lease_id: str) -> Record | None:
    """Return what an event tells of a lease's session; None when somebody else did it, or it cannot be read."""
    try:
        told = json.loads(event["CloudTrailEvent"])
        who, at, name = told["userIdentity"], event["EventTime"], f"{event['EventSource']}:{event['EventName']}"
        session = str(who["principalId"]).partition(":")[2]
        mark = str(event["EventId"])
    except (ValueError, KeyError, TypeError):
        return None
    if who.get("type") != "AssumedRole" or session != lease_id or not isinstance(at, datetime):
        return None
    error = told.get("errorCode")
    outcome = Outcome.DONE if not error else Outcome.REFUSED if error in _REFUSED else Outcome.FAILED
    return Record(
        at=trim(at.astimezone(UTC)),
        act=Act.USE,
        outcome=outcome,
        what=in_a_line(name.replace(".amazonaws.com", "")),
        lease_id=lease_id,
        mark=mark[:80],
        seen={"from": in_a_line(str(told.get("sourceIPAddress", "")))},
    )


def _actions(grants: Mapping[str, Any]) -> Iterator[str]:
    """Yield every action that an entitlement's grants name, wherever they stand."""
    for key, value in grants.items():
        if key in {"actions", "action"}:
            yield from ([value] if isinstance(value, str) else map(str, value))
        elif isinstance(value, Mapping):
            yield from _actions(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for item in value:
                if isinstance(item, Mapping):
                    yield from _actions(item)
