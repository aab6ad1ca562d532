"""The pages of a pack, which read and print without any script."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

TEMPLATES = ("style.css", "base.html", "index.html", "grant.html")


def template_source(name: str) -> str:
    """Return the text of a template."""
    return (files("countersign.auditlog.pack") / "templates" / name).read_text(encoding="utf-8")


class Pages:
    """Renders pages; every value is escaped, and one that is missing is an error."""

    def __init__(self) -> None:
        from jinja2 import DictLoader, Environment, StrictUndefined  # noqa: PLC0415 - a broker that starts renders nothing

        self._environment = Environment(
            loader=DictLoader({name: template_source(name) for name in TEMPLATES}),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def render(self, name: str, **values: Any) -> bytes:  # noqa: ANN401 - whatever a page shows
        """Return one page."""
        return self._environment.get_template(name).render(**values).encode()
