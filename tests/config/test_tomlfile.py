"""Reading TOML files: sizes, kinds of file, and where the syntax went wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from countersign.config.problems import ConfigError
from countersign.config.tomlfile import LARGEST_FILE, read_toml


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    return str(caught.value)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "catalog.toml"
    path.write_bytes(content)
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    assert read_toml(written(tmp_path, "a = 'ü'\r\n[b]\nc = 1".encode())) == {"a": "ü", "b": {"c": 1}}


def test_a_syntax_error_names_line_and_column(tmp_path: Path) -> None:
    text = refusal(written(tmp_path, b"a = 1\nb = = 2\n"))
    assert text == "error: catalog.toml line 2, column 5: expected TOML; got Invalid value"


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    assert "catalog.toml line 2" in refusal(written(tmp_path, b"a = 1\na = 2\n"))


def test_the_end_of_the_file_is_a_place_too(tmp_path: Path) -> None:
    assert "catalog.toml end of document" in refusal(written(tmp_path, b"a = [1,"))


def test_a_file_of_a_mebibyte_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    assert read_toml(written(tmp_path, b"#" * LARGEST_FILE)) == {}
    assert "expected at most 1048576 bytes; got more" in refusal(written(tmp_path, b"#" * (LARGEST_FILE + 1)))


def test_ten_megabytes_are_refused(tmp_path: Path) -> None:
    assert "got more" in refusal(written(tmp_path, b"a = 1\n" * 1_700_000))


def test_other_bytes_than_utf8_are_refused(tmp_path: Path) -> None:
    assert "expected UTF-8; got other bytes at byte 5" in refusal(written(tmp_path, b"a = '\xff'"))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "expected a file; got no such file" in refusal(tmp_path / "none.toml")


def test_a_folder_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "expected a file; got something else" in refusal(tmp_path)
    assert "expected a file; got something else" in refusal(tmp_path / "pipe")


def test_a_file_that_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    assert "File name too long" in refusal(path) or "no such file" in refusal(path)


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    assert "expected" in refusal(written(tmp_path, b"a = " + b"[" * 100_000))


def test_an_integer_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    assert "expected TOML" in refusal(written(tmp_path, b"a = " + b"9" * 5000))
