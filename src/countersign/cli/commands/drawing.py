"""Drawing: redeeming a grant for a credential, which is handed over once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from countersign.cli.failures import CommandFailed
from countersign.cli.output import is_shown, text_of
from countersign.cli.session import Session, with_session

if TYPE_CHECKING:
    from countersign.cli.client import Client

ORDER_REQUIRED = "order-required"


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

    grant_id = whole_grant_id(session.client, grant)
    answer = _drawn(session.client, grant_id)
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


def _drawn(client: Client, grant_id: str) -> dict[str, Any]:
    """Return what a draw gives: asked for plainly, and where an order alone counts, ordered by this machine's device key."""
    from countersign.cli.client import new_key  # noqa: PLC0415 - loads HTTP
    from countersign.cli.keeping import load  # noqa: PLC0415 - as above

    key = new_key()
    try:
        return client.post(f"/grants/{grant_id}/draw", key=key)
    except CommandFailed as refused:
        kept = load(client.url) if refused.code == ORDER_REQUIRED else None
        if kept is None:
            raise
    from countersign.cli.ordering import ordered  # noqa: PLC0415 - loads cryptography, for two halves alone

    return ordered(client, kept, grant_id, key=key)
