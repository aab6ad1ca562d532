"""`countersign dev`: the embedded stack until Ctrl-C, with who can sign in as whom and what to try first."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from rich.console import Console

from countersign.embedded.stack import PEOPLE, STATE, EmbeddedStack

LOOK_EVERY_S = 0.5
_TRIED = (
    "export COUNTERSIGN_TOKEN=…                    # alice's, from above",
    "countersign request orders-db-read --for 10m --reason 'order 1003 is stuck' --ticket OPS-1",
    "countersign show req_…                        # with bob's token: what would be given, and the digest",
    "countersign approve req_… --digest …          # with bob's token",
    "countersign draw req_…                        # with alice's token",
    "export COUNTERSIGN_SOFTWARE_PASSKEY=.countersign/passkeys/bob.json   # signs what takes it: orders-db-repair",
    "countersign return req_…",
    "countersign request orders-db-write --for 5m --reason stuck --break-glass INC-1   # docs/break-glass.md plays here",
)
_TRIED_APART = (
    "countersign login                             # as alice, with her password: this machine's key then orders her draws",
    "countersign request orders-db-read --for 10m --reason 'order 1003 is stuck' --ticket OPS-1",
    "COUNTERSIGN_TOKEN=… COUNTERSIGN_SOFTWARE_PASSKEY=.countersign/passkeys/bob.json countersign approve req_…   # bob's",
    "countersign draw req_…                        # the other half judges it, and seals what it gives to this machine",
    "countersign return req_…",
)
"""What to try first. In two halves approvals count that are signed, and draws that the requester's own device orders."""


def run_dev(*, as_json: bool = False, keep: bool = False, apart: bool = False, folder: Path = STATE) -> int:
    """Run the stack until it is interrupted; return the exit code.

    Args:
        as_json: print one line of JSON when ready (it holds the tokens, and is written nowhere else), and nothing more.
        keep: keep the state of an earlier run.
        apart: run the broker as two halves.
        folder: where state lies.
    """
    console = Console(highlight=False, soft_wrap=True)
    asked_to_end = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        asked_to_end.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    stack = EmbeddedStack(folder=folder, keep=keep, apart=apart)
    stack.start()
    try:
        if as_json:
            print(json.dumps(stack.connection_info()), flush=True)  # noqa: T201 - the line is the interface
        else:
            _welcome(console, stack)
        while not asked_to_end.wait(LOOK_EVERY_S):
            if (log := stack.broker.ended) is not None:
                console.print(f"[red]the broker has ended; its log is {log}[/red]")
                return 1
    finally:
        stack.stop()
    if not as_json:
        console.print("stopped")
    return 0


def _welcome(console: Console, stack: EmbeddedStack) -> None:
    console.print("Who can sign in, with which token:\n")
    for person, part in PEOPLE.items():
        # No table: it would cut the tokens short on a narrow terminal, and these lines are all that knows them.
        console.print(f"  {person:<6} {stack.tokens[person]}  {part}")
    console.print(
        f"\nOr sign in at OpenBao as an identity provider (method: Username), at"
        f" {stack.vault.identity.public_url}/sign-in/to/openbao"
    )
    for person, password in stack.vault.identity.passwords.items():
        console.print(f"  {person:<6} {password}")
    console.print(f"\nThe broker listens at {stack.url}; OpenBao, PostgreSQL and the AWS emulator run beside it.")
    console.print("The tokens are written nowhere else. In another terminal:\n")
    known = (f"export PATH={Path(sys.executable).parent}:$PATH", f"export COUNTERSIGN_URL={stack.url}")
    tried = _TRIED_APART if stack.apart else _TRIED
    for line in (*known, *tried, f"countersign verify --key '{stack.log_key()}'    # with erin's token"):
        console.print(f"  {line}")
    console.print("\nCtrl-C stops everything.")
