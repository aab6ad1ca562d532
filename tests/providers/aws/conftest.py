from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.aws_server import Cloud, running_cloud


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One emulator for all tests of this folder."""
    with running_cloud(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.fixture
def cloud(running: Cloud) -> Iterator[Cloud]:
    """The emulator, with the target roles' inline policies as they were at the beginning: none."""
    yield running
    iam = running.admin("iam")
    for role in ("countersign-target-reports", "countersign-target-archive"):
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=name)
