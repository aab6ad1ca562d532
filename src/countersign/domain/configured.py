"""What a process was started with, of that which the rules decide about; where the two differ, nothing is issued."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from countersign.domain.trust import Trust


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """A setting that is not what two people countersigned."""

    setting: str
    countersigned: str
    running: str


@dataclass(frozen=True, kw_only=True)
class Configured:
    """The running settings that decide whom we believe.

    Attributes:
        log_origin: the name in the checkpoints that this process signs.
        providers: by provider name, the address that it calls.
    """

    log_origin: str | None = None
    providers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def against(self, trust: Trust) -> Iterator[Mismatch]:
        """Yield each setting that the rules decide about and that is another; a provider that is not called decides nothing."""
        if trust.log_origin is not None and self.log_origin is not None and self.log_origin != trust.log_origin:
            yield Mismatch(setting="log_origin", countersigned=trust.log_origin, running=self.log_origin)
        for name, address in sorted(trust.providers.items()):
            running = self.providers.get(name, address)
            if running.rstrip("/") != address.rstrip("/"):
                yield Mismatch(setting=f"the address of {name}", countersigned=address, running=running)
