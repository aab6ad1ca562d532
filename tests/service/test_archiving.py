"""The copy outside: what it holds verifies by itself, is locked, is never written twice, and catches up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import sqlalchemy as sa
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from tests.cli.desk import run_here
from tests.outside import outside
from tests.quick import quick_world
from tests.world import CATALOG, World

from countersign.auditlog.signer import Ed25519Signer
from countersign.embedded.ministack import REGION, EmbeddedAws
from countersign.providers.archive import S3Archive
from countersign.providers.base import ArchiveDiffers, Away, ProviderTrouble
from countersign.service.archiving import ARCHIVE_EVERY

DAYS = 2192


class Memory:
    """An archive in memory, which can be away."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, datetime, bool]] = {}
        self.away = False
        self.fail_at: int | None = None

    def keep(self, path: str, raw: bytes, *, until: datetime, held: bool = False) -> None:
        if self.away or self.fail_at == len(self.kept):
            self.fail_at = None
            raise Away("nobody answers")
        if self.kept.get(path, (raw,))[0] != raw:
            raise ArchiveDiffers(f"other bytes lie at {path}")
        self.kept.setdefault(path, (raw, until, held))

    def sync(self, folder: Path) -> Path:
        for path, (raw, _, _) in self.kept.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(raw)
        return folder


@pytest.fixture
def world() -> Iterator[World]:
    with quick_world() as made:
        yield made


@pytest.fixture
def memory(world: World) -> Memory:
    made = Memory()
    archive_to(world, made)
    return made


def archive_to(world: World, archive: Any) -> None:  # noqa: ANN401 - an archive
    world.archive = archive
    world.running.broker.followers.stop()
    world.restart()


def grow(world: World, times: int = 1) -> None:
    for _ in range(times):
        world.review(world.ask("dave", "orders-db-thrice"), deny=True)


def copied(world: World) -> None:
    world.clock.forward(seconds=ARCHIVE_EVERY.total_seconds() + 60)
    world.follow()


def behind(world: World) -> int:
    [found] = [each for each in world.broker.followers.look() if each.name == "archive"]
    return found.behind


def verify(world: World, folder: Path, *more: str) -> Any:  # noqa: ANN401 - what ran
    return run_here(["verify", str(folder), "--key", world.signer.verifier().vkey(), "--json", *more], {})


def test_the_copy_is_a_log_by_itself_at_every_moment_and_nothing_in_it_ever_changes(
    world: World, memory: Memory, tmp_path: Path
) -> None:
    earlier: dict[str, bytes] = {}
    for times in (1, 3, 100, 1):  # over the edge of a full tile, in the third
        grow(world, times)
        copied(world)
        assert behind(world) == 0
        assert {path: memory.kept[path][0] for path in earlier} == earlier
        earlier = {path: raw for path, (raw, _, _) in memory.kept.items()}
        ran = verify(world, memory.sync(tmp_path / "copy"))
        assert (ran.code, ran.json()["failures"]) == (0, [])
        with world.store.read() as tx:
            assert ran.json()["size"] == tx.head().size
    assert "tile/entries/000" in memory.kept
    assert "tile/0/000" in memory.kept


def test_everything_is_locked_for_the_time_that_was_countersigned(world: World, memory: Memory) -> None:
    grow(world)
    copied(world)
    untils = {until for _, until, _ in memory.kept.values()}
    assert untils == {world.clock() + timedelta(days=DAYS)}
    assert not any(held for _, _, held in memory.kept.values())
    world.adopt(catalog=CATALOG | {"trust": {"retention_days": 10, "legal_hold": True}})
    before = set(memory.kept)
    copied(world)
    fresh = [memory.kept[path] for path in memory.kept if path not in before]
    assert {(until, held) for _, until, held in fresh} == {(world.clock() + timedelta(days=10), True)}


def test_texts_lie_apart_and_a_copy_without_them_still_verifies(world: World, memory: Memory, tmp_path: Path) -> None:
    world.ask(reason="invoice 4711 is stuck")
    copied(world)
    texts = [path for path, (raw, _, _) in memory.kept.items() if b"invoice 4711" in raw]
    assert texts
    assert all(path.startswith("openings/") for path in texts)
    for path in [path for path in memory.kept if path.startswith("openings/")]:
        del memory.kept[path]
    assert verify(world, memory.sync(tmp_path / "copy")).code == 0


def test_an_archive_that_is_away_is_caught_up_with_and_shown_as_lag(
    world: World, memory: Memory, tmp_path: Path
) -> None:
    memory.away = True
    grow(world, 200)
    copied(world)
    assert behind(world) > 0
    assert "nobody answers" in world.broker.followers.checks()["follower archive"]
    memory.away = False
    for _ in range(6):
        copied(world)
    assert behind(world) == 0
    assert verify(world, memory.sync(tmp_path / "copy")).code == 0


@pytest.mark.parametrize("fail_at", range(8))
def test_a_copy_that_breaks_off_anywhere_is_taken_up_again(
    world: World, memory: Memory, tmp_path: Path, fail_at: int
) -> None:
    memory.fail_at = fail_at
    grow(world, 2)
    copied(world)
    grow(world)
    for _ in range(3):
        copied(world)
    assert behind(world) == 0
    assert verify(world, memory.sync(tmp_path / "copy")).code == 0


def test_checkpoints_are_not_copied_one_by_one_while_much_happens(world: World, memory: Memory) -> None:
    copied(world)
    before = len(memory.kept)
    for _ in range(10):
        grow(world)
        world.clock.forward(seconds=1)
        world.follow()
    assert len(memory.kept) == before
    copied(world)
    assert behind(world) == 0


def test_the_copy_bears_cosignatures_and_can_be_held_to_them(world: World, memory: Memory, tmp_path: Path) -> None:
    with outside(world, tmp_path, count=1, quorum=1) as one:
        world.follow()
        grow(world)
        world.follow()
        copied(world)
        assert any(path.startswith("checkpoints/") and "." in path for path in memory.kept)
        ran = verify(world, memory.sync(tmp_path / "copy"), "--witness-key", one.keys[0].vkey())
        assert (ran.code, ran.json()["failures"]) == (0, [])


def test_other_bytes_in_the_copy_are_told_of(world: World, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    copied(world)
    monkeypatch.setattr(memory, "kept", dict.fromkeys(memory.kept, (b"bogus", world.clock(), False)))
    first = next(iter(memory.kept))
    with world.store.begin() as tx:
        tx._connection.execute(sa.text("DROP TRIGGER followers_forward"))
        tx._connection.execute(sa.text("UPDATE followers SET next = 0 WHERE name = 'archive'"))
    copied(world)
    copied(world)
    assert behind(world) > 0
    assert "other bytes lie at" in world.broker.followers.checks()["follower archive"]
    assert memory.kept[first][0] == b"bogus"


# --- S3 itself ---------------------------------------------------------------------------------------------------------


def s3(endpoint: str, key: str = "test", secret: str = "test") -> Any:  # noqa: ANN401, S107 - boto3 clients have no types; nobody's
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}, proxies={}, retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module", params=["moto", "ministack"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Moto shows the shapes; ministack is the one that enforces Object Lock in these tests."""
    if request.param == "moto":
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        server.start()
        host, port = server.get_host_and_port()
        made = s3(f"http://{host}:{port}")
        made.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True)
        yield made
        server.stop()
        return
    if not os.environ.get("COUNTERSIGN_MINISTACK"):
        pytest.skip("COUNTERSIGN_MINISTACK is not set: Object Lock is not tried")
    with EmbeddedAws(folder=tmp_path_factory.mktemp("worm")) as aws:
        made = s3(aws.endpoint_url, aws.admin_access_key_id, aws.admin_secret_access_key)
        made.create_bucket(Bucket="evidence", ObjectLockEnabledForBucket=True)
        yield made


UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(days=DAYS)


def test_an_object_is_locked_in_compliance_mode_and_nobody_deletes_its_version(client: Any) -> None:  # noqa: ANN401 - as above
    archive = S3Archive(client=client, bucket="evidence", prefix="log/")
    archive.keep("tile/0/000.p/1", b"x" * 32, until=UNTIL)
    head = client.head_object(Bucket="evidence", Key="log/tile/0/000.p/1")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", UNTIL)
    for bypass in ({}, {"BypassGovernanceRetention": True}):
        with pytest.raises(ClientError) as refused:
            client.delete_object(Bucket="evidence", Key="log/tile/0/000.p/1", VersionId=head["VersionId"], **bypass)
        assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_the_same_again_is_well_and_other_bytes_are_not_written_over(client: Any) -> None:  # noqa: ANN401 - as above
    archive = S3Archive(client=client, bucket="evidence")
    archive.keep("checkpoints/1", b"one", until=UNTIL)
    archive.keep("checkpoints/1", b"one", until=UNTIL + timedelta(days=1))
    with pytest.raises(ArchiveDiffers, match="other bytes"):
        archive.keep("checkpoints/1", b"two", until=UNTIL)
    versions = client.list_object_versions(Bucket="evidence", Prefix="checkpoints/1")["Versions"]
    assert len(versions) == 1


def test_a_legal_hold_is_put_and_seen(client: Any) -> None:  # noqa: ANN401 - as above
    S3Archive(client=client, bucket="evidence").keep("held", b"x", until=UNTIL, held=True)
    assert client.head_object(Bucket="evidence", Key="held")["ObjectLockLegalHoldStatus"] == "ON"


def test_a_bucket_that_locks_nothing_is_refused(client: Any) -> None:  # noqa: ANN401 - as above
    client.create_bucket(Bucket="plain")
    with pytest.raises(ProviderTrouble):
        S3Archive(client=client, bucket="plain").keep("x", b"x", until=UNTIL)
    with pytest.raises(ProviderTrouble):
        S3Archive(client=client, bucket="missing").keep("x", b"x", until=UNTIL)


def test_an_object_that_somebody_put_there_unlocked_is_told_of(client: Any) -> None:  # noqa: ANN401 - as above
    client.put_object(Bucket="evidence", Key="early", Body=b"x", ChecksumAlgorithm="SHA256")
    with pytest.raises(ArchiveDiffers, match="compliance"):
        S3Archive(client=client, bucket="evidence").keep("early", b"x", until=UNTIL)


def test_whoever_knows_the_first_key_verifies_the_copy_after_it_was_changed(
    world: World, memory: Memory, tmp_path: Path
) -> None:
    first, second = world.signer.verifier().vkey(), Ed25519Signer.generate(world.signer.name)
    grow(world)
    copied(world)
    trust = {"log_keys": [first, second.verifier().vkey()]}
    world.adopt(catalog=CATALOG | {"trust": trust})
    world.issuing.checkpoints.sign()
    world.signer = second
    archive_to(world, memory)
    grow(world)
    copied(world)
    ran = run_here(["verify", str(memory.sync(tmp_path)), "--key", first], {})
    assert ran.code == 0, ran.out
    assert second.verifier().vkey() in ran.out
    assert len([path for path in memory.kept if path.startswith("handovers/")]) == 1
