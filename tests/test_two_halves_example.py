"""The example root for two halves: its settings are the program's own, and nothing of one half is given to the other."""

from __future__ import annotations

import re
from pathlib import Path

from tests.hcl_files import named, read_hcl

from countersign.config.sections import Aws, OpenBao, TargetAccess
from countersign.config.settings import PREFIX, Settings

MODULES = Path(__file__).parents[1] / "terraform" / "modules"
EXAMPLE = Path(__file__).parents[1] / "terraform" / "examples" / "two-halves"
GIVES_A_RIGHT = {"openbao", "aws", "targets", "archive", "log_transit", "log_key_path"}


def text() -> str:
    return (EXAMPLE / "main.tf").read_text(encoding="utf-8")


def environment(half: str) -> set[str]:
    """Return the names of the settings that an output gives a half, those of both included."""
    shared = re.search(r"shared = merge\((.*?)\n  \)", text(), re.DOTALL)
    own = re.search(rf'output "{half}_environment" {{(.*?)\n}}\n', text(), re.DOTALL)
    assert shared is not None
    assert own is not None
    return set(re.findall(r"\b(COUNTERSIGN_[A-Z_]+)\s*=", shared[1] + own[1]))


def block(name: str) -> str:
    found = re.search(rf"{name} = jsonencode\({{(.*?)}}\)", text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_every_setting_that_is_given_is_one_of_the_program() -> None:
    fields = set(Settings.model_fields)
    for half in ("people", "issuer"):
        assert {name.removeprefix(PREFIX).lower() for name in environment(half)} <= fields
    assert set(re.findall(r"^\s+(\w+)\s+=", block("COUNTERSIGN_OPENBAO"), re.MULTILINE)) <= set(OpenBao.model_fields)
    assert set(re.findall(r"^\s+(\w+)\s+=", block("COUNTERSIGN_AWS"), re.MULTILINE)) <= set(Aws.model_fields)
    assert "dsn_file" in TargetAccess.model_fields


def test_the_half_that_faces_people_is_given_nothing_that_is_a_right() -> None:
    names = {name.removeprefix(PREFIX).lower() for name in environment("people")}
    assert not names & GIVES_A_RIGHT
    assert {"openbao", "aws", "targets"} <= {name.removeprefix(PREFIX).lower() for name in environment("issuer")}


def test_every_module_gets_what_it_demands_and_nothing_that_it_does_not_know() -> None:
    modules = named(read_hcl(EXAMPLE / "main.tf")["module"])
    assert set(modules) == {"vault", "aws_broker", "aws_target"}
    for name, given in modules.items():
        folder = (EXAMPLE / given["source"]).resolve()
        assert folder.parent == MODULES
        variables = named(read_hcl(folder / "variables.tf")["variable"])
        passed = set(given) - {"source"}
        assert passed <= set(variables), name
        assert {key for key, body in variables.items() if "default" not in body} <= passed, name
        outputs = named(read_hcl(folder / "outputs.tf")["output"])
        assert set(re.findall(rf"module\.{name}\.(\w+)", text())) <= set(outputs), name
