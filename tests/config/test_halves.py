"""What each half may be given: a process that is handed what the other half alone needs refuses to start."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from countersign.config.halves import Half
from countersign.config.problems import ConfigError
from countersign.config.settings import load_settings

DATABASE = {"database_url": SecretStr("postgresql://countersign@127.0.0.1:5432/countersign")}
ROLE = {"role_id": SecretStr("r"), "secret_id": SecretStr("s")}
BAO = {"addr": "http://127.0.0.1:8200", **ROLE}
PROFILES = {"assumer": {"profile": "a"}, "revoker": {"profile": "b"}}


def test_a_process_is_both_halves_unless_it_is_told_otherwise() -> None:
    assert load_settings().half is Half.BOTH


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("openbao", BAO),
        ("aws", PROFILES),
        ("targets", {"orders-db": {"dsn": SecretStr("host=127.0.0.1 user=u password=p")}}),
        ("archive", {"bucket": "countersign-log", "profile": "a"}),
        ("log_key_path", "/etc/countersign/log.key"),
    ],
)
def test_the_half_that_faces_people_is_given_no_right_at_a_provider(name: str, given: Any) -> None:  # noqa: ANN401 - settings of all kinds
    with pytest.raises(ConfigError, match=f"no {name} for half = people: that belongs to the issuer half alone"):
        load_settings(half="people", **DATABASE, **{name: given})


def test_what_people_need_is_not_given_to_the_half_that_issues() -> None:
    assert load_settings(half="issuer", **DATABASE, openbao=BAO, aws=PROFILES).openbao is not None
    with pytest.raises(ConfigError, match=r"no issuers, webhooks for half = issuer"):
        load_settings(
            half="issuer",
            **DATABASE,
            issuers={"corp": {"client_secret": SecretStr("x")}},
            webhooks={"ops": {"url": "https://ops.example", "secret": SecretStr("whsec_" + "QUFB" * 8)}},
        )


@pytest.mark.parametrize("half", ["people", "issuer"])
def test_two_halves_do_not_share_an_embedded_database(half: str) -> None:
    with pytest.raises(ConfigError, match=f"begins with postgresql:// for half = {half}"):
        load_settings(half=half)
