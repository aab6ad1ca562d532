"""What an author is told of his files before he proposes them, from the files alone."""

from __future__ import annotations

from pathlib import Path

from countersign.config.catalog import load_catalog
from countersign.config.crosscheck import check_together
from countersign.config.directory import load_directory
from countersign.config.problems import ConfigError
from countersign.providers.previews import make_previews
from countersign.service.rehearsal import Rehearsal


def problems_in(catalog_file: Path, directory_file: Path | None) -> list[str]:
    """Return what is wrong with a catalog, or dangerous in it, a line each: errors begin with `error`.

    Args:
        catalog_file: the catalog.
        directory_file: the directory that goes with it; None leaves out whether its groups exist.
    """
    try:
        catalog = load_catalog(catalog_file)[1]
        directory = None if directory_file is None else load_directory(directory_file)[1]
    except ConfigError as wrong:
        return str(wrong).splitlines()
    together = [] if directory is None else check_together(catalog, directory)
    remarks = Rehearsal(previews=make_previews()).remarks(catalog)
    return sorted(map(str, [*together, *remarks]), key=lambda line: not line.startswith("error"))
