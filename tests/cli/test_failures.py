from __future__ import annotations

import pytest

from countersign.api.problems import STATUSES
from countersign.cli.failures import EXIT_OF_CODE, Exit, of_problem
from countersign.domain.refusals import Refused

UNDECIDED = {"method-not-allowed", "unsupported-media-type", "too-slow", "wrong-host", "internal"}
"""Codes of HTTP itself, which the command line never provokes; their status decides."""


def codes_of(refusal: type[Refused]) -> set[str]:
    return {refusal.code} | {code for below in refusal.__subclasses__() for code in codes_of(below)}


def test_every_code_of_the_broker_has_an_exit_code() -> None:
    assert codes_of(Refused) - UNDECIDED - {"refused"} == set(EXIT_OF_CODE)
    assert set(STATUSES) - UNDECIDED <= set(EXIT_OF_CODE)


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("self-review", 6),
        ("not-eligible", 6),
        ("draws-exhausted", 6),
        ("stopped", 6),
        ("limit", 6),
        ("wrong-digest", 1),
        ("already-reviewed", 1),
        ("already-delivered", 1),
        ("wrong-state", 5),
        ("window-over", 5),
        ("not-found", 5),
        ("invalid", 2),
        ("too-large", 2),
        ("unauthenticated", 4),
        ("provider-away", 7),
        ("log-unavailable", 7),
    ],
)
def test_codes_mean_what_scripts_were_told(code: str, exit_code: int) -> None:
    assert of_problem(500, {"code": code}).exit_code == exit_code


@pytest.mark.parametrize(
    ("status", "exit_code"), [(401, 4), (403, 6), (404, 5), (410, 5), (409, 1), (422, 2), (429, 6), (500, 7), (503, 7)]
)
def test_a_code_that_is_not_known_is_judged_by_its_status(status: int, exit_code: int) -> None:
    assert of_problem(status, {"code": "new-in-a-later-version"}).exit_code == exit_code
    assert of_problem(status, {}).code == f"http-{status}"


def test_a_problem_is_told_with_its_rule_the_next_step_and_the_field() -> None:
    problem = {"detail": "no", "code": "limit", "rule": "caps", "next": "wait", "field": "duration_s", "incident": "1f"}
    failed = of_problem(429, problem)
    assert failed.lines() == [
        "countersign: no (limit)",
        "  field: duration_s",
        "  rule:  caps",
        "  next:  wait",
        "  incident: 1f",
    ]
    assert failed.as_json() == {
        "code": "limit",
        "detail": "no",
        "exit_code": Exit.FORBIDDEN,
        "field": "duration_s",
        "rule": "caps",
        "next": "wait",
        "incident": "1f",
    }


def test_a_problem_of_strange_types_is_told_all_the_same() -> None:
    assert of_problem(403, {"detail": 7, "code": None, "rule": ["x"], "title": ""}).lines() == [
        "countersign: the broker answered 403 and did not say why (http-403)"
    ]
