"""A fake cloud for each test, and the public Python SDK that calls it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.rehearsal.certificates import Authority
from local.yandex_cloud import YandexCloud
from tests.support.yandex_api import Api


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a CA with the server's certificate, which all fakes of the session use."""
    authority = Authority(tmp_path_factory.mktemp("pki"))
    authority.certificate("localhost")
    return authority.directory


@pytest.fixture
def directory(pki: Path, tmp_path: Path) -> Path:
    """The directory of a fake that was not started yet."""
    shutil.copytree(pki, tmp_path / "cloud" / "pki")
    return tmp_path / "cloud"


@pytest.fixture
def cloud(directory: Path) -> Iterator[YandexCloud]:
    with YandexCloud(directory) as running:
        yield running


@pytest.fixture
def api(cloud: YandexCloud) -> Api:
    return Api(cloud)
