from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.cli.output import Output
from countersign.cli.sheets import request_rows, request_sheet
from countersign.cli.terminal import is_plain, plain, shortened


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("\x1bcreset", "reset"),
        ("a\rb\nc\td", "a b c d"),
        ("a\u2028b\u0085c", "a b c"),
        ("abc\u202egnp.exe\u202c", "abcgnp.exe"),
        ("\u2066x\u2069\u200b\ufeffy", "xy"),
        ("bell\x07\x08\x7f", "bell"),
        ("Grüße, 世界 · naïve", "Grüße, 世界 · naïve"),
    ],
)
def test_nothing_that_steers_a_terminal_or_turns_the_order_is_left(raw: str, shown: str) -> None:
    assert plain(raw) == shown


@given(st.text())
def test_what_is_shown_is_one_visible_line_and_stays_as_it_is(raw: str) -> None:
    shown = plain(raw)
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)
    assert is_plain(shown)


def test_cells_are_cut_after_they_are_cleaned() -> None:
    assert shortened("\x1b[31m" + "x" * 10, 5) == "xxxx…"
    assert shortened("12345", 5) == "12345"


def test_json_is_ascii_so_that_no_terminal_reads_it_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).json({"reason": "\x1b[31m\u202eGrüße"})
    assert capsys.readouterr().out == '{"reason":"\\u001b[31m\\u202eGr\\u00fc\\u00dfe"}\n'


def test_quiet_leaves_out_hints_and_notes_but_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(quiet=True)
    out.hint("h")
    out.note("n")
    out.warn("w")
    assert capsys.readouterr().err == "warning: w\n"


def test_colours_stand_on_terminals_only_and_not_against_the_readers_will(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    Output().pairs([("state", "pending")])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    Output().pairs([("state", "pending")])
    assert "\x1b[33mpending" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    Output().pairs([("state", "pending")])
    assert "\x1b" not in capsys.readouterr().out


def test_times_are_local_with_their_offset_unless_utc_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import time  # noqa: PLC0415 - only to make the zone of this test known

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert Output().time("2026-11-22T22:05:00.250Z") == "2026-11-22 23:05:00 +0100"
        assert Output(utc=True).time("2026-11-22T22:05:00.250Z") == "2026-11-22 22:05:00 +0000"
        assert Output().time("\x1b[31mnever") == "never"
        assert Output().time(None) is None
    finally:
        monkeypatch.undo()
        time.tzset()


def test_other_peoples_words_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    request = {"id": "req_x", "state": "pending", "reason": "\x1b]0;x\x07fine\u202e", "person": "al\x1b[2Jice"}
    request_sheet(Output(), request)
    Output().table(*request_rows(Output(), [request]))
    shown = capsys.readouterr().out
    assert shown.count("fine") == shown.count("alice") == 2
    assert not {"\x1b", "\u202e", "\x07"} & set(shown)
