"""Drawing: redeeming a grant for a credential, which is handed over once."""

from __future__ import annotations

import click

from countersign.cli.failures import CommandFailed
from countersign.cli.output import is_shown, text_of
from countersign.cli.session import Session, with_session


@click.command(short_help="Redeem a grant for a credential, once.")
@click.argument("grant")
@click.option("--no-unwrap", is_flag=True, help="Print a wrapped credential as it is; whoever opens it first has it.")
@with_session
def draw(session: Session, grant: str, *, no_unwrap: bool) -> None:
    """Redeem GRANT (its request names it as well). For people it prints what to put into the environment.

    Use it with: eval "$(countersign draw GRANT)"
    """
    from countersign.cli.credentials import exports, unwrapped  # noqa: PLC0415 - loads HTTP
    from countersign.cli.lookup import whole_grant_id  # noqa: PLC0415 - as above
    from countersign.cli.ordering import drawn  # noqa: PLC0415 - loads cryptography

    grant_id = whole_grant_id(session.client, grant)
    answer = drawn(session.client, grant_id)
    lease, credential = answer.get("lease"), answer.get("credential")
    if not isinstance(lease, dict) or not isinstance(credential, dict):
        raise CommandFailed("the broker's answer holds no credential", code="strange-answer", hint="compare versions")
    if credential.get("kind") == "wrapped" and not no_unwrap:
        credential = unwrapped(credential, grant=grant_id)
    if session.out.as_json:
        session.out.json({"lease": lease, "credential": credential})
        return
    lines, use = exports(credential, lease)
    for line in lines:
        session.out.line(line)
    session.out.note(f"{text_of(lease, 'id')} works until {session.out.time(lease.get('not_after'))}; then it is dead")
    if is_shown():
        session.out.hint(f'run these lines in your shell, then use {use}; the next time: eval "$(countersign draw …)"')
    else:
        session.out.hint(f"once they are in your environment, use {use}")
    session.out.hint(f"done early? countersign return {grant_id}")
