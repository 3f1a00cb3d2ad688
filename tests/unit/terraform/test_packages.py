"""The archive of a package: its bytes depend only on its files."""

import io
import random
import zipfile

import pytest

from terraform import package

FILES = {
    "main.py": b"answer = 42\n",
    "shared/db.py": b"",
    "migrations/0001_places.sql": b"SELECT 1",
}


def test_an_archive_does_not_depend_on_the_order_of_its_files() -> None:
    reversed_files = dict(reversed(FILES.items()))

    assert package.archive("booking", FILES) == package.archive("booking", reversed_files)


def test_an_archive_changes_when_a_file_changes() -> None:
    changed = {**FILES, "shared/db.py": b"# changed\n"}

    assert package.archive("booking", FILES) != package.archive("booking", changed)


def test_an_archive_has_sorted_files_with_a_fixed_time_and_mode() -> None:
    entries = zipfile.ZipFile(io.BytesIO(package.archive("booking", FILES))).infolist()

    assert [entry.filename for entry in entries] == sorted(FILES)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}


def test_a_package_over_the_upload_limit_is_refused_with_its_name_and_size() -> None:
    too_much = {"main.py": random.Random(1).randbytes(package.SIZE_LIMIT)}  # noqa: S311 - no secret

    with pytest.raises(package.PackageTooLarge, match=r"^unlock\.zip has \d+ bytes"):
        package.archive("unlock", too_much)
