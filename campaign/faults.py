"""What goes wrong, chosen by a seed: processes killed, frozen and brought back."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Mapping

from countersign.embedded.stack import EmbeddedStack


def broker_killed(stack: EmbeddedStack, chance: random.Random) -> None:
    """SIGKILL the broker, wait a little, start it again."""
    stack.kill_broker()
    time.sleep(chance.uniform(0, 1.0))
    stack.start_broker()


def broker_frozen(stack: EmbeddedStack, chance: random.Random) -> None:
    """Stop the broker's process for a while, as a laptop's lid would."""
    pid = stack.broker.pid
    if pid is None:
        return
    os.kill(pid, signal.SIGSTOP)
    time.sleep(chance.uniform(0.2, 2.0))
    os.kill(pid, signal.SIGCONT)


def openbao_killed(stack: EmbeddedStack, chance: random.Random) -> None:
    """SIGKILL OpenBao, wait a little, start and unseal it."""
    stack.openbao.kill()
    time.sleep(chance.uniform(0, 1.0))
    stack.openbao.start()


def database_crashed(stack: EmbeddedStack, chance: random.Random) -> None:
    """Stop PostgreSQL as a crash would, wait a little, start it again."""
    stack.postgres.stop_immediate()
    time.sleep(chance.uniform(0, 0.5))
    stack.postgres.start()


FAULTS: Mapping[str, Callable[[EmbeddedStack, random.Random], None]] = {
    "broker killed": broker_killed,
    "broker frozen": broker_frozen,
    "openbao killed": openbao_killed,
    "database crashed": database_crashed,
}
OFTEN = ("broker killed", "broker killed", "broker killed", "broker frozen", "openbao killed", "database crashed")
