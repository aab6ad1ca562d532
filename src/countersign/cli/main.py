"""The command line's entry: a group that loads a command's module only when that command is used."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import click

from countersign import __version__
from countersign.cli.failures import CommandFailed, Exit, usage
from countersign.cli.output import Output
from countersign.cli.pipes import flush, put

_PLACE = "countersign.cli.commands"

SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "Ask and use": {
            "request": ("asking:request", "Ask for access to one thing, for one task."),
            "resubmit": ("asking:resubmit", "Ask for what the reviewer who denied would sign."),
            "withdraw": ("asking:withdraw", "Take a request back."),
            "draw": ("drawing:draw", "Redeem a grant for a credential, once."),
            "return": ("ending:give_back", "Hand a grant back early; what was drawn dies."),
        },
        "Sign in": {
            "login": ("entering:login", "Sign in by a browser."),
            "logout": ("entering:logout", "Sign out."),
            "sessions": ("entering:sessions", "List your sessions, or end one."),
        },
        "Deploy": {
            "ci": ("deploying:ci", "Let a deployment wait for approval."),
        },
        "Sign": {
            "approve": ("signing:approve", "Approve exactly the request that you were shown."),
            "passkey": ("passkeys:passkey", "Make a passkey, vouch for another's, have one removed."),
            "deny": ("signing:deny", "Deny a request."),
        },
        "In an emergency": {
            "envelope": ("emergencies:envelope", "Sign in advance what one on call may open, and open it."),
            "after-review": ("emergencies:after_review", "Say whether a break-glass access was justified."),
        },
        "Look": {
            "ls": ("looking:ls", "List requests, grants, leases or entitlements."),
            "show": ("looking:show", "Show anything by its id or a unique prefix of it."),
            "why": ("explaining:why", "Explain a request, a grant, or what would come of asking."),
            "me": ("looking:me", "Show who you are to the broker."),
            "log": ("looking:log", "Show what happened."),
        },
        "Change the rules": {
            "catalog": ("rulemaking:catalog", "Propose, read and approve other rules."),
            "log-key": ("log_keys:log_key", "Show, make and change the keys that sign the log."),
        },
        "Stop": {
            "revoke": ("ending:revoke", "Take a grant away; what was drawn dies."),
            "stop": ("ending:stop", "Stop all access, or that of a person, entitlement or provider."),
            "lock": ("ending:lock", "Lock a person, entitlement or provider for a time."),
            "lift": ("ending:lift", "Lift a stop that someone else placed."),
            "disable": ("ending:disable", "Disable a person; what the person has ends."),
            "token": ("tokens:token", "Replace your own token."),
        },
        "Prove": {
            "verify": ("verifying:verify", "Verify the log, offline."),
            "reconcile": ("reconciling:reconcile", "Compare the log with what others wrote down."),
            "evidence": ("evidencing:evidence", "Write an evidence pack over a period."),
            "campaign": ("campaigning:campaign", "Have memberships kept or removed, each by somebody's name."),
            "reviewed": ("campaigning:reviewed", "Record that you reviewed a period."),
            "retention": ("retaining:retention", "Erase what people wrote, once its retention is over."),
            "export": ("exporting:export", "Write the log and its checkpoint into a folder."),
            "policy": ("proving:policy", "Prove what a catalog and a directory let people reach."),
        },
        "Question": {
            "who-had": ("inquiring:who_had", "Who had an entitlement at a moment."),
            "had": ("inquiring:had", "Everything that a person ever had."),
            "late": ("inquiring:late", "Everything that ended late."),
            "break-glass": ("glass:break_glass", "All break-glass with its review."),
            "done": ("doings:done", "What was done under a grant."),
            "who-could-approve": ("inquiring:who_could_approve", "Who could approve an entitlement at a moment."),
            "reconstruct": ("inquiring:reconstruct", "A request as it stood at a moment."),
            "findings": ("inquiring:findings", "What stands out in the log."),
            "raised": ("finding:raised", "What the detectors raised, and who looked at it."),
            "acknowledge": ("finding:acknowledge", "Say that you looked at a finding."),
            "followers": ("following:followers", "Who follows the log, and how far each has come."),
        },
        "Run": {
            "serve": ("running:serve", "Run a broker."),
            "alive": ("living:alive", "Say whether the broker of this machine is alive."),
            "dev": ("running:dev", "Run the embedded stack until Ctrl-C."),
            "demo": ("running:demo", "Play the whole story on the embedded stack."),
            "strays": (
                "beginning:strays",
                "List, and end, what stands at the providers before a broker's first start.",
            ),
            "database": ("databases:database", "Prepare a database for two halves."),
            "target": ("targets:target", "Prepare or check a PostgreSQL target."),
            "witness": ("witnessing:witness", "Vouch for logs from elsewhere."),
        },
    }
)
"""Commands by section, each as module and object below `commands`, and the line that the overview shows."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and loads each when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        del ctx
        return [name for commands in SECTIONS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        del ctx
        for commands in SECTIONS.values():
            if cmd_name in commands:
                module, _, name = commands[cmd_name][0].partition(":")
                found: click.Command = getattr(importlib.import_module(f"{_PLACE}.{module}"), name)
                return found
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview from the table, so that it loads nothing."""
        del ctx
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, line) for name, (_, line) in commands.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="countersign")
def countersign() -> None:
    """Temporary credentials: one person asks, another signs, the credential dies on the second, and the log proves it.

    The broker is COUNTERSIGN_URL. Sign in with countersign login; a token in COUNTERSIGN_TOKEN, or in the file that
    COUNTERSIGN_TOKEN_FILE names, goes before that.
    """


def main() -> None:
    """Run the command that this process was started with, and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; nothing ends in a traceback unless COUNTERSIGN_DEBUG is set."""
    try:
        code = _run(arguments)
    except BrokenPipeError:
        code = int(Exit.UNREAD)  # what was told to nobody is a wrong use
    try:
        flush()
    except CommandFailed as failed:
        put("\n".join(failed.lines()), sys.stderr)
        return int(failed.exit_code)
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        answer: object = countersign.main(args=list(arguments), prog_name="countersign", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except CommandFailed as failed:
        put("\n".join(failed.lines()), sys.stderr)
        return int(failed.exit_code)
    except click.exceptions.NoArgsIsHelpError as asked:
        asked.show()
        return asked.exit_code
    except click.ClickException as wrong:
        Output(as_json="--json" in arguments).failure(_misused(wrong))
        return wrong.exit_code
    except (KeyboardInterrupt, click.Abort):
        put("interrupted", sys.stderr)
        return int(Exit.INTERRUPTED)
    except SystemExit as ended:
        # Click ends with 1 when nobody reads its help; a broker that was told to stop ends with its own code.
        return int(Exit.UNREAD) if ended.code == 1 else int(ended.code or Exit.OK)
    except Exception as fault:  # noqa: BLE001 - the outermost handler: a fault of ours, told without its values
        return _tell(fault)
    return answer if isinstance(answer, int) else int(Exit.OK)


def _misused(wrong: click.ClickException) -> CommandFailed:
    """Return the failure for a command line that cannot be what was meant, as every other failure is told."""
    where = wrong.ctx.command_path if isinstance(wrong, click.UsageError) and wrong.ctx is not None else "countersign"
    return usage(wrong.format_message(), hint=f"{where} --help")


def _tell(fault: Exception) -> int:
    if os.environ.get("COUNTERSIGN_DEBUG"):
        traceback.print_exception(fault)
    else:
        put(
            f"countersign: a fault of the program itself: {type(fault).__name__}\n"
            "  next:  COUNTERSIGN_DEBUG=1 shows where",
            sys.stderr,
        )
    return int(Exit.FAILURE)
