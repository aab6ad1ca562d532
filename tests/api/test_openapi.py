"""The description of the API is true: generated calls find nothing that it does not say."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from tests.api.calling import PRINCIPALS, Api
from tests.quick import histories

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_generated_calls_are_answered_as_the_description_says(api: Api, mode: GenerationMode) -> None:
    callers = itertools.cycle(PRINCIPALS)
    statuses: set[int] = set()
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app)

    def try_out(operation: Any) -> None:  # noqa: ANN401 - schemathesis's own type is generic in its own types
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        @histories(ci=4, nightly=40)
        def calls(case: Case[Any]) -> None:
            answer = case.call(headers=api.headers(next(callers)))
            # What fits the schema may still name an entitlement that there is not, and is told so as `invalid`.
            case.validate_response(answer, excluded_checks=[positive_data_acceptance])
            statuses.add(answer.status_code)

        calls()

    for result in schema.exclude(path="/v1/me/token").get_all_operations():  # a new token would lock the test out
        assert isinstance(result, Ok)
        with contextlib.suppress(hypothesis.errors.Unsatisfiable):  # a call that takes nothing cannot be called wrongly
            try_out(result.ok())
    assert 500 not in statuses
    assert statuses >= {200, 403, 404, 422}


OF_ANYONE = {"/v1/sign-in/issuers", "/v1/sign-in/device", "/v1/sign-in/refresh"}
"""Calls by which somebody becomes known."""


def test_every_call_under_v1_says_what_it_takes_and_what_it_answers(api: Api) -> None:
    document = api.get(None, "/openapi.json").json()
    problem = {"$ref": "#/components/schemas/Problem"}
    for path, calls in document["paths"].items():
        for call in calls.values():
            if not path.startswith("/v1"):
                continue
            assert call.get("security") or path in OF_ANYONE
            for status, answer in call["responses"].items():
                kinds = answer["content"]
                if int(status) >= 400:
                    assert kinds == {"application/problem+json": {"schema": problem}}
                else:
                    assert "application/problem+json" not in kinds
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for name in ("AskBody", "ReviewBody", "StopBody", "ReasonBody"):
        assert document["components"]["schemas"][name]["additionalProperties"] is False
    draw = document["paths"]["/v1/grants/{grant_id}/draw"]["post"]
    assert not draw["requestBody"].get("required", False), "an order is asked for in two halves alone"
    assert draw["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/DrawAnswer")
