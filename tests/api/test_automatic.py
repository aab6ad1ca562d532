"""Approval in advance over HTTP: one call asks, the next draws, and `why` names the two who countersigned."""

from __future__ import annotations

from tests.api.calling import Api
from tests.service.test_automatic import automatic, people


def test_who_asks_for_it_draws_at_once_and_its_author_does_not_even_ask(api: Api) -> None:
    api.world.adopt(catalog=automatic(), directory=people())
    api.tokens |= {who: api.world.broker.gate.issue(who) for who in ("alice-dev", "frank-dev")}
    body = {"entitlement": "sandbox", "parameters": {}, "duration_s": 60, "reason": "try it"}
    made = api.post("alice-dev", "/v1/requests", json=body)
    assert (made.status_code, made.json()["state"]) == (201, "approved")
    request = api.get("alice-dev", f"/v1/requests/{made.json()['id']}").json()
    drawn = api.post("alice-dev", f"/v1/grants/{request['grant_id']}/draw")
    assert drawn.status_code == 200, drawn.text
    why = api.get("alice-dev", f"/v1/requests/{request['id']}/why").json()
    assert why["rule"] == "automatic: approved in advance by frank and grace, who countersigned this rule"
    refused = api.post("frank-dev", "/v1/requests", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "not-eligible")
