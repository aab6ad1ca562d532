"""What to do when a broker refuses to begin: see and end what stands at the providers while there are no rules yet."""

from __future__ import annotations

import click

from countersign.cli.failures import Exit, usage
from countersign.cli.session import Session, with_session


@click.command(short_help="List, and end, what stands at the providers before a broker's first start.")
@click.option("--end", "ending", is_flag=True, help="End it. Whoever uses it loses it.")
@with_session
def strays(session: Session, *, ending: bool) -> None:
    """Ask the providers what bears the name of a lease while the database knows none; exit 1 if anything is left."""
    from countersign.bootstrap.beginning import look_before_the_first_start  # noqa: PLC0415 - loads all of the broker
    from countersign.bootstrap.founding import open_store  # noqa: PLC0415 - as above
    from countersign.bootstrap.providers import make_providers  # noqa: PLC0415 - as above
    from countersign.config.problems import ConfigError  # noqa: PLC0415 - as above
    from countersign.config.settings import load_settings  # noqa: PLC0415 - as above

    try:
        settings = load_settings()
        store = open_store(settings)
        providers = make_providers(settings, store)
        found, ended = look_before_the_first_start(store, settings, providers, ending=ending)
    except ConfigError as error:
        raise usage(f"the configuration cannot be used: {error}") from None
    gone = {(stray.place, stray.lease_id) for stray, _ in ended}
    rows = [
        [
            name,
            stray.target,
            stray.place,
            stray.lease_id,
            "ended" if (stray.place, stray.lease_id) in gone else "stands",
        ]
        for name, stray in found.strays
    ]
    if session.out.as_json:
        keys = ("provider", "target", "place", "lease", "state")
        session.out.json({"items": [dict(zip(keys, row, strict=True)) for row in rows], "unseen": list(found.unseen)})
    else:
        session.out.table(["provider", "target", "place", "lease", "state"], rows)
    for name in found.unseen:
        session.out.warn(f"{name} could not be asked")
    left = len(found.strays) > len(ended) or found.unseen
    click.get_current_context().exit(int(Exit.FAILURE if left else Exit.OK))
