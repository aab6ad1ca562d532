"""`[trust]` of the catalog: what is said is countersigned, what is not said changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from countersign.config.catalog import parse_catalog
from countersign.config.problems import ConfigError
from countersign.domain.trust import SIX_YEARS_DAYS, Trust


def trusting(**said: object) -> dict[str, Any]:
    return {"schema": 1, "trust": said}


def test_a_catalog_that_says_nothing_of_trust_is_the_same_as_one_with_an_empty_table() -> None:
    silent, empty = parse_catalog({"schema": 1}), parse_catalog(trusting())
    assert silent.trust == empty.trust == Trust()
    assert silent.digest == empty.digest
    assert "trust" not in silent.document()
    assert silent.trust.retention_days == SIX_YEARS_DAYS


@pytest.mark.parametrize(
    "said",
    [
        {"log_origin": "log.example/prod"},
        {"providers": {"vault": "https://bao.example:8200"}},
        {"retention_days": 3000},
    ],
)
def test_whatever_is_said_of_trust_changes_the_digest_that_people_sign(said: dict[str, Any]) -> None:
    catalog = parse_catalog(trusting(**said))
    assert catalog.document()["trust"] == said
    assert catalog.digest != parse_catalog({"schema": 1}).digest


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"providers": {"vault": "http://bao.example:8200"}}, "trust.providers.vault"),
        ({"providers": {"vault": "https://user:secret@bao.example"}}, "trust.providers.vault"),
        ({"log_origin": "Not A Name"}, "trust.log_origin"),
        ({"retention_days": 0}, "trust.retention_days"),
        ({"retention": 5}, "trust.retention"),
    ],
)
def test_what_cannot_be_trusted_is_refused_by_its_key(said: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_catalog(trusting(**said))
    assert [problem.where for problem in refused.value.problems] == [where]
