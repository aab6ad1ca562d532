"""Why: which rule decided on a request or grant, or would decide, who counts, and what would have to change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from countersign.cli.failures import usage
from countersign.cli.session import Session, with_session
from countersign.cli.sheets import quorum
from countersign.domain.ids import GRANT, REQUEST


@click.command(short_help="Explain a request, a grant, or what would come of asking.")
@click.argument("id")
@click.option("--person", help="With an entitlement: who would ask; you if not given.")
@with_session
def why(session: Session, id: str, person: str | None) -> None:  # noqa: A002 - what users see
    """Say which rule decides on request, grant or entitlement ID, who counts and who does not, and what would have to change."""
    from countersign.cli.lookup import find  # noqa: PLC0415 - loads HTTP

    kind, found = find(session.client, id)
    places = {REQUEST: "requests", GRANT: "grants", "entitlement": "entitlements"}
    if kind not in places:
        raise usage("why is asked of a request, a grant or an entitlement", field="ID")
    if person is not None and kind != "entitlement":
        raise usage("a person is named with an entitlement only", field="--person")
    asked = {} if person is None else {"person": person}
    answer = session.client.get(f"/{places[kind]}/{found['id']}/why", **asked)
    if session.out.as_json:
        session.out.json(answer)
    else:
        _sheet(session, answer)


def _sheet(session: Session, answer: Mapping[str, Any]) -> None:
    session.out.pairs(
        [
            ("about", answer.get("about")),
            ("state", answer.get("state")),
            ("person", answer.get("person")),
            ("entitlement", answer.get("entitlement")),
            ("rule", answer.get("rule")),
            ("pinned", answer.get("pinned")),
            ("written by", ", ".join(answer.get("authors") or []) or None),
            ("filled", quorum(answer.get("factors"))),
            *((f"in {each['group']}", ", ".join(each["by"]) or None) for each in answer.get("factors") or []),
            *(("said", _word(each)) for each in answer.get("words") or []),
            ("could sign", ", ".join(answer.get("could_sign") or []) or None),
            *(("could not", f"{each['person']}: {each['hindrance']}") for each in answer.get("could_not") or []),
            *(("in the way", f"{each['code']}: {each['detail']}") for each in answer.get("obstacles") or []),
            *(("to change", each) for each in answer.get("changes") or []),
        ]
    )


def _word(word: Mapping[str, Any]) -> str:
    worth = "" if word.get("hindrance") is None else f", which counts for nothing: {word['hindrance']}"
    return f"{word.get('decision')} by {word.get('person')}{worth}"
