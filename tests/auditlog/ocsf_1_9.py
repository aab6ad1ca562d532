"""What OCSF 1.9 demands of the event classes that entries become: which fields they have, and which they must have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

BASE_REQUIRED = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
BASE = BASE_REQUIRED | {
    "attestation_list",
    "message",
    "raw_data",
    "status",
    "status_code",
    "status_detail",
    "status_id",
    "unmapped",
}
IAM = {"actor", "src_endpoint"}
CLASSES: Mapping[int, tuple[set[str], set[str], range]] = {
    3003: (
        {"user"},
        IAM | {"user", "groups", "iam_roles", "privileges", "session", "dst_endpoint"},
        range(1, 4),
    ),
    3004: ({"entity"}, IAM | {"entity", "comment", "entity_result", "updated_entity"}, range(1, 14)),
    3007: (
        {"user"},
        IAM | {"user", "iam_roles", "policies", "privileges", "resources", "auth_factors"},
        range(1, 20),
    ),
    6002: ({"app"}, {"app"}, range(1, 9)),
    2004: ({"finding_info"}, {"finding_info", "confidence_id", "is_alert", "resources", "evidences"}, range(1, 4)),
}
"""By class: required fields, further fields that are known, activities besides 0 (unknown) and 99 (other)."""


def problems_of(event: Mapping[str, Any]) -> list[str]:
    """Return what an event does not keep of the schema."""
    found = CLASSES.get(event.get("class_uid", -1))
    if found is None:
        return [f"class {event.get('class_uid')} is not one that is written"]
    required, known, activities = found
    wrong = [f"{name} is missing" for name in sorted((BASE_REQUIRED | required) - event.keys())]
    wrong += [f"{name} is no field of the class" for name in sorted(event.keys() - BASE - known)]
    class_uid, activity = event["class_uid"], event["activity_id"]
    known_activity = activity in {*activities, 0, 99}
    counted = (event["type_uid"], event["category_uid"]) == (class_uid * 100 + activity, class_uid // 1000)
    chosen = class_uid != 3003 or bool({"privileges", "groups", "iam_roles"} & event.keys())
    numbers = all(isinstance(event[name], int) for name in BASE_REQUIRED - {"metadata"})
    judged = {"activity": known_activity, "uids": counted, "at least one": chosen, "numbers": numbers}
    return wrong + [name for name, kept in judged.items() if not kept] + list(_objects(event))


def _objects(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the objects in an event lack."""
    metadata = event["metadata"]
    if not {"version", "product"} <= metadata.keys() or not {"name", "uid"} & metadata["product"].keys():
        yield "metadata"
    for each in event.get("attestation_list", []):
        if (
            not {"fingerprint", "signatures"} & each.keys()
            or not {"algorithm_id", "value"} <= each["fingerprint"].keys()
        ):
            yield "attestation"
    for name in ("user", "entity", "app"):
        if name in event and not {"name", "uid"} & event[name].keys():
            yield f"{name} without name or uid"
    if "finding_info" in event and "uid" not in event["finding_info"]:
        yield "finding_info without uid"
