"""Settings: where they come from, what is refused, and that no secret is shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from countersign.config.problems import ConfigError
from countersign.config.sections import (
    Aws,
    AwsAccount,
    IssuerAccess,
    OpenBao,
    TargetAccess,
    WebhookAccess,
    is_loopback,
    secrets_of,
)
from countersign.config.settings import SECRET_KEYS, Settings, load_settings

SECRET = "S3CR3T-value-that-nobody-sees"
BAO = {"addr": "https://bao.example:8200", "role_id": "r", "secret_id": SECRET}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("COUNTERSIGN_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal(**given: Any) -> str:  # noqa: ANN401 - settings of any type, wrong ones included
    with pytest.raises(ConfigError) as caught:
        load_settings(**given)
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in str(error)
        assert SECRET not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return str(caught.value)


def secret_file(folder: Path, content: str | bytes = SECRET, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def test_defaults_are_safe() -> None:
    settings = load_settings()
    assert settings.mode == "production"
    assert settings.allow_tokens is False
    assert settings.listen_host == "127.0.0.1"
    assert settings.log_origin == "countersign.local/log"
    assert settings.sweep_interval_s == 0.5
    assert settings.openbao is None
    assert settings.aws is None
    assert settings.targets == {}


def test_paths_follow_the_state_folder() -> None:
    settings = load_settings(state_dir=Path("/var/lib/c"))
    assert settings.database_url.get_secret_value() == "sqlite:////var/lib/c/countersign.db"
    assert settings.log_key_path == Path("/var/lib/c/log.key")


def test_the_environment_reaches_nested_tables_and_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_LISTEN_PORT", "9000")
    monkeypatch.setenv("COUNTERSIGN_OPENBAO__ADDR", "https://bao.example:8200/")
    monkeypatch.setenv("COUNTERSIGN_OPENBAO__ROLE_ID", "role")
    monkeypatch.setenv("COUNTERSIGN_OPENBAO__SECRET_ID", SECRET)
    monkeypatch.setenv("COUNTERSIGN_TARGETS__orders-db__DSN", f"postgresql://broker:{SECRET}@db/orders")
    monkeypatch.setenv("COUNTERSIGN_URL", "http://127.0.0.1:8440")
    monkeypatch.setenv("COUNTERSIGN_TOKEN", SECRET)
    settings = load_settings()
    assert settings.listen_port == 9000
    assert settings.openbao == OpenBao(
        addr="https://bao.example:8200", role_id=SecretStr("role"), secret_id=SecretStr(SECRET)
    )
    assert settings.targets["orders-db"].dsn.get_secret_value() == f"postgresql://broker:{SECRET}@db/orders"


def test_a_caller_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "countersign.toml"
    path.write_text('listen_port = 1\nlog_origin = "file.example/log"\ncatalog_path = "file.toml"\n')
    monkeypatch.setenv("COUNTERSIGN_CONFIG", str(path))
    monkeypatch.setenv("COUNTERSIGN_LISTEN_PORT", "2")
    monkeypatch.setenv("COUNTERSIGN_LOG_ORIGIN", "env.example/log")
    settings = load_settings(listen_port=3)
    assert (settings.listen_port, settings.log_origin) == (3, "env.example/log")
    assert settings.catalog_path == Path("file.toml")


def test_file_and_environment_fill_one_table_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "countersign.toml"
    secret = secret_file(tmp_path)
    path.write_text(f'[openbao]\naddr = "https://bao.example"\nsecret_id_file = "{secret}"\n')
    monkeypatch.setenv("COUNTERSIGN_CONFIG", str(path))
    monkeypatch.setenv("COUNTERSIGN_OPENBAO__ROLE_ID", "role")
    bao = load_settings().openbao
    assert bao is not None
    assert bao.addr == "https://bao.example"
    assert bao.role_id.get_secret_value() == "role"
    assert bao.secret_id.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f'database_url = "postgresql://u:{SECRET}@h/d"', "database_url"),
        (f'[openbao]\nsecret_id = "{SECRET}"', "openbao.secret_id"),
        (f'[aws.assumer]\nsecret_access_key = "{SECRET}"', "aws.assumer.secret_access_key"),
        (f'[targets.orders-db]\ndsn = "{SECRET}"', 'targets."orders-db".dsn'),
    ],
)
def test_a_secret_in_the_file_itself_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, place: str
) -> None:
    path = tmp_path / "countersign.toml"
    path.write_text(text)
    monkeypatch.setenv("COUNTERSIGN_CONFIG", str(path))
    assert refusal() == f"error: {path} {place}: expected no secret in this file (use the key with _file); got one"


def test_every_secret_of_every_table_is_kept_out_of_the_file() -> None:
    tables: tuple[type[BaseModel], ...] = (Settings, OpenBao, AwsAccount, TargetAccess, WebhookAccess, IssuerAccess)
    assert {name for table in tables for name in secrets_of(table)} == SECRET_KEYS


def test_every_secret_can_lie_in_a_file() -> None:
    tables: tuple[type[BaseModel], ...] = (Settings, OpenBao, AwsAccount, TargetAccess, WebhookAccess, IssuerAccess)
    for table in tables:
        assert {f"{name}_file" for name in secrets_of(table)} <= set(table.model_fields)


def test_an_unknown_key_in_the_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "countersign.toml"
    path.write_text("allow_everything = true\n[aws]\nadmin = 1\n")
    monkeypatch.setenv("COUNTERSIGN_CONFIG", str(path))
    text = refusal()
    assert "allow_everything: expected one of the keys mode, allow_tokens" in text
    assert "aws.admin: expected one of the keys endpoint_url, region, assumer, revoker" in text


def test_a_missing_settings_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COUNTERSIGN_CONFIG", str(tmp_path / "none.toml"))
    assert "got no such file" in refusal()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_file_is_read_without_its_line_end(tmp_path: Path, ending: str) -> None:
    path = secret_file(tmp_path, f" {SECRET} {ending}")
    access = load_settings(targets={"t": {"dsn_file": str(path)}}).targets["t"]
    assert access.dsn.get_secret_value() == f" {SECRET} "


def test_the_database_url_can_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = secret_file(tmp_path, f"postgresql+psycopg://u:{SECRET}@h/d\n")
    monkeypatch.setenv("COUNTERSIGN_DATABASE_URL_FILE", str(path))
    assert load_settings().database_url.get_secret_value() == f"postgresql+psycopg://u:{SECRET}@h/d"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o644, 0o666, 0o777])
def test_a_secret_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path, mode=mode)
    text = refusal(targets={"t": {"dsn_file": path}})
    assert text == f"error: {path}: expected a secret file closed to others (chmod 600); got mode {mode:04o}"


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_secret_file_that_owner_or_group_may_read_is_taken(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path, mode=mode)
    assert load_settings(targets={"t": {"dsn_file": path}}).targets["t"].dsn.get_secret_value() == SECRET


@pytest.mark.parametrize("length", [1, 16 * 1024])
def test_a_secret_of_any_sane_length_is_taken_whole(tmp_path: Path, length: int) -> None:
    path = secret_file(tmp_path, "x" * length)
    assert load_settings(targets={"t": {"dsn_file": path}}).targets["t"].dsn.get_secret_value() == "x" * length


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    target = secret_file(tmp_path, mode=0o644)
    link = tmp_path / "link"
    link.symlink_to(target)
    assert "got mode 0644" in refusal(targets={"t": {"dsn_file": link}})


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ("", "nothing"),
        (" \n", "nothing"),
        ("x" * (16 * 1024 + 1), "more"),
        (SECRET.encode() + b"\xff", "other bytes"),
    ],
)
def test_a_secret_file_without_a_fit_secret_is_refused(tmp_path: Path, content: str | bytes, got: str) -> None:
    assert refusal(targets={"t": {"dsn_file": secret_file(tmp_path, content)}}).endswith(f"got {got}")


def test_a_secret_that_is_no_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "expected a plain file" in refusal(targets={"t": {"dsn_file": tmp_path / "pipe"}})
    assert "Is a directory" in refusal(targets={"t": {"dsn_file": tmp_path}})
    assert "No such file" in refusal(targets={"t": {"dsn_file": tmp_path / "none"}})


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    text = refusal(targets={"t": {"dsn": SECRET, "dsn_file": secret_file(tmp_path)}})
    assert "expected either dsn or dsn_file" in text


def test_tokens_are_for_the_embedded_stack_only() -> None:
    assert load_settings(mode="embedded", allow_tokens=True).allow_tokens
    assert "allow_tokens = false in production" in refusal(mode="production", allow_tokens=True)
    assert "allow_tokens = false in production" in refusal(allow_tokens=True)


EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is refused here


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.168.1.5", "bao.example", "", "127.0.0.1.evil.example"])
def test_the_embedded_stack_listens_on_this_machine_only(host: str) -> None:
    assert "a loopback listen_host" in refusal(mode="embedded", listen_host=host)
    assert load_settings(mode="production", listen_host=host).listen_host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_has_many_names(host: str) -> None:
    assert is_loopback(host)
    assert load_settings(mode="embedded", listen_host=host).listen_host == host


@pytest.mark.parametrize(
    "addr",
    [
        "http://bao.example:8200",
        "http://10.0.0.1:8200",
        "http://localhost.evil.example",
        "https://user:pass@bao.example",
        "https://user@bao.example",
        "https://bao.example/?a=b",
        "https://bao.example/#a",
        "https://",
        "ftp://bao.example",
        "bao.example:8200",
        "https://bao.example:0",
        "https://bao.example:99999",
        "https://[::1",
        "",
    ],
)
def test_an_unsafe_address_is_refused(addr: str) -> None:
    assert "openbao.addr: expected" in refusal(openbao={**BAO, "addr": addr})
    assert "aws.endpoint_url: expected" in refusal(aws={**aws_accounts(), "endpoint_url": addr})


@pytest.mark.parametrize(
    "addr", ["https://bao.example", "http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:1"]
)
def test_a_safe_address_is_taken(addr: str) -> None:
    bao = load_settings(openbao={**BAO, "addr": addr}).openbao
    assert bao is not None
    assert bao.addr == addr


def aws_accounts() -> dict[str, Any]:
    return {
        "assumer": {"access_key_id": "AKIA1", "secret_access_key": SECRET},
        "revoker": {"profile": "countersign-revoker"},
    }


def test_aws_identities_are_profiles_or_key_pairs() -> None:
    aws = load_settings(aws=aws_accounts()).aws
    assert isinstance(aws, Aws)
    assert aws.revoker.profile == "countersign-revoker"
    assert aws.assumer.secret_access_key is not None
    assert aws.assumer.secret_access_key.get_secret_value() == SECRET


@pytest.mark.parametrize(
    "account",
    [
        {},
        {"access_key_id": "AKIA2"},
        {"secret_access_key": SECRET},
        {"profile": "p", "access_key_id": "AKIA2", "secret_access_key": SECRET},
        {"profile": "p", "access_key_id": "AKIA2"},
    ],
)
def test_half_an_aws_identity_is_refused(account: dict[str, str]) -> None:
    text = refusal(aws={**aws_accounts(), "revoker": account})
    assert "aws.revoker: expected either profile, or access_key_id and secret_access_key" in text


@pytest.mark.parametrize("account", [{"profile": "p"}, {"access_key_id": "AKIA1", "secret_access_key": SECRET}])
def test_who_assumes_is_not_who_revokes(account: dict[str, str]) -> None:
    assert "different identities" in refusal(aws={"assumer": account, "revoker": account})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "test"),
        ("sweep_interval_s", float("nan")),
        ("sweep_interval_s", 0),
        ("sweep_interval_s", 61),
        ("listen_port", 65536),
        ("listen_port", -1),
        ("log_origin", "has blank"),
        ("log_origin", "plus+sign"),
        ("log_origin", ""),
        ("log_origin", "ends\n"),
        ("database_url", "mysql://h/d"),
        ("database_url", SECRET),
        ("targets", {"Bad Name": {"dsn": SECRET}}),
        ("targets", {"t": {}}),
        ("targets", {"t": SECRET}),
        ("openbao", {**BAO, "wrap_ttl_s": 121}),
        ("openbao", {"addr": "https://bao.example", "role_id": "r"}),
        ("openbao", SECRET),
        ("bogus", SECRET),
    ],
)
def test_a_setting_out_of_bounds_is_refused_without_being_shown(name: str, value: object) -> None:
    assert f"error: {name}" in refusal(**{name: value})


def test_broken_json_in_the_environment_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_TARGETS", "{" + SECRET)
    assert refusal().startswith("error: ")


def test_no_secret_shows_in_any_rendering() -> None:
    settings = load_settings(
        database_url=f"postgresql://u:{SECRET}@h:5432/d?password={SECRET}",
        openbao=BAO,
        aws=aws_accounts(),
        targets={"t": {"dsn": SECRET}},
    )
    for text in (repr(settings), str(settings), str(settings.document()), settings.model_dump_json()):
        assert SECRET not in text
    assert settings.document()["database_url"] == "postgresql://h:5432/d"
    assert settings.document()["targets"] == {"t": {"dsn": "given", "dsn_file": None, "log": None}}


def test_the_digest_covers_what_is_not_secret_and_nothing_else() -> None:
    base = load_settings(openbao=BAO, targets={"t": {"dsn": "a"}})
    assert base.digest() == load_settings(openbao={**BAO, "secret_id": "other"}, targets={"t": {"dsn": "b"}}).digest()
    changed: list[dict[str, Any]] = [
        {"openbao": {**BAO, "addr": "https://other.example"}, "targets": {"t": {"dsn": "a"}}},
        {"openbao": BAO, "targets": {"u": {"dsn": "a"}}},
        {"openbao": BAO},
        {"openbao": BAO, "targets": {"t": {"dsn": "a"}}, "sweep_interval_s": 0.6},
        {"openbao": BAO, "targets": {"t": {"dsn": "a"}}, "log_origin": "other.example/log"},
        {"openbao": BAO, "targets": {"t": {"dsn": "a"}}, "database_url": "postgresql://other/d"},
    ]
    digests = {load_settings(**given).digest() for given in changed}
    assert len(digests | {base.digest()}) == len(changed) + 1
    assert len(base.digest()) == 64


def test_settings_do_not_change() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.mode = "embedded"
    bao = load_settings(openbao=BAO).openbao
    assert bao is not None
    assert bao.wrap_ttl_s == 60
    with pytest.raises(ValidationError, match="frozen"):
        bao.addr = "https://other.example"


def test_a_webhook_s_secret_is_long_and_never_shown() -> None:
    secret = "whsec_" + "QUJD" * 8
    given = load_settings(webhooks={"siem": {"url": "https://siem.example/x", "secret": secret}})
    assert "QUJD" not in repr(given) + str(given.document())
    for wrong in ({"secret": "whsec_QUJD"}, {"url": "http://siem.example/"}, {"url": "https://u:p@siem.example/"}):
        with pytest.raises(ConfigError) as refusal:
            load_settings(webhooks={"siem": {"url": "https://siem.example/x", "secret": secret} | wrong})
        assert "QUJD" not in str(refusal.value)
