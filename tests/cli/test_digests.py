"""A digest is given whole, by its first digits or by its fingerprint; whatever the form, what was shown is signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.desk import Desk
from tests.emergencies import GLASS_CATALOG, ROOT, with_groups
from tests.world import CATALOG

from countersign.domain.passkey import fingerprint


def as_fingerprint(digest: str) -> str:
    return fingerprint(digest)


def as_first_digits(digest: str) -> str:
    return digest[:12]


def in_lower_case(digest: str) -> str:
    return fingerprint(digest).lower()


SHORT = pytest.mark.parametrize("form", [as_fingerprint, as_first_digits])
FORMS = pytest.mark.parametrize("form", [as_fingerprint, as_first_digits, in_lower_case])
Form = Callable[[str], str]


def proposed(desk: Desk, folder: Path, catalog: dict[str, Any]) -> dict[str, Any]:
    file = folder / "catalog.toml"
    file.write_text(toml(catalog), encoding="utf-8")
    ran = desk.run("frank", "catalog", "propose", str(file), "--reason", "shorter", "--json")
    assert ran.code == 0, ran.err
    return ran.json()


def toml(catalog: dict[str, Any]) -> str:
    """Spell a catalog as TOML: its lists of tables as inline tables."""

    def spelled(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {spelled(item)}" for key, item in value.items()) + "}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(spelled, value)) + "]"
        return json.dumps(value)

    return "\n".join(f"{key} = {spelled(value)}" for key, value in catalog.items())


def shorter(catalog: dict[str, Any]) -> dict[str, Any]:
    first, *others = catalog["entitlement"]
    return catalog | {"entitlement": [first | {"description": "another line"}, *others]}


@FORMS
def test_a_request_is_approved_by_every_form_that_it_is_shown_in(desk: Desk, form: Form) -> None:
    made = desk.asked()
    ran = desk.run("bob", "approve", made["id"], "--digest", form(made["digest"]))
    assert (ran.code, "is approved" in ran.out) == (0, True), ran.err


@SHORT
def test_a_proposal_is_approved_by_every_form_that_it_is_shown_in(desk: Desk, tmp_path: Path, form: Form) -> None:
    made = proposed(desk, tmp_path, shorter(CATALOG))
    assert made["fingerprint"] in desk.run("grace", "catalog", "diff", made["id"]).out
    ran = desk.run("grace", "catalog", "approve", made["id"], "--digest", form(made["digest"]))
    assert (ran.code, "approved" in ran.out) == (0, True), ran.err


def test_another_s_fingerprint_approves_nothing(desk: Desk, tmp_path: Path) -> None:
    made = proposed(desk, tmp_path, shorter(CATALOG))
    for wrong in (fingerprint("0" * 64), "0" * 12, "0" * 64):
        ran = desk.run("grace", "catalog", "approve", made["id"], "--digest", wrong)
        assert (ran.code, "wrong-digest" in ran.err) == (1, True), ran.err
    assert desk.run("grace", "catalog", "approve", made["id"], "--digest", made["digest"][:11]).code == 2
    assert "pending" in desk.run("grace", "catalog", "diff", made["id"]).out


@SHORT
def test_an_envelope_is_signed_by_every_form_that_it_is_shown_in(desk: Desk, form: Form) -> None:
    desk.world.adopt(catalog=GLASS_CATALOG, directory=with_groups())
    made = desk.run("bob", "envelope", "propose", ROOT, "--valid", "1d", "--for", "5m", "--json").json()
    assert fingerprint(made["digest"]) in desk.run("bob", "envelope", "show", made["id"]).out
    ran = desk.run("bob", "envelope", "sign", made["id"], "--digest", form(made["digest"]))
    assert (ran.code, "bob" in ran.out) == (0, True), ran.err
    wrong = desk.run("carol", "envelope", "sign", made["id"], "--digest", fingerprint("0" * 64))
    assert (wrong.code, "wrong-digest" in wrong.err) == (1, True)


def test_several_problems_of_a_proposal_are_told_one_a_line(desk: Desk, tmp_path: Path) -> None:
    first, *others = CATALOG["entitlement"]
    wrong = CATALOG | {"entitlement": [first | {"max_duration_s": 0, "draws": "many"}, *others]}
    file = tmp_path / "catalog.toml"
    file.write_text(toml(wrong), encoding="utf-8")
    ran = desk.run("frank", "catalog", "propose", str(file), "--reason", "x")
    heading, *lines = ran.err.splitlines()
    assert (ran.code, heading) == (2, "countersign: 2 problems (invalid)")
    assert [line.split(": ")[0] for line in lines[:2]] == ["  error", "  error"]
    assert len(desk.run("frank", "catalog", "propose", str(file), "--reason", "x", "--json").err.splitlines()) == 1
