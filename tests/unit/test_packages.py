"""The archive that a package becomes: its bytes depend on nothing but its files."""

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


def test_the_same_files_make_the_same_bytes_in_whatever_order_they_come() -> None:
    reversed_files = dict(reversed(FILES.items()))

    assert package.archive("booking", FILES) == package.archive("booking", reversed_files)


def test_a_changed_file_makes_other_bytes() -> None:
    changed = {**FILES, "shared/db.py": b"# changed\n"}

    assert package.archive("booking", FILES) != package.archive("booking", changed)


def test_an_archive_holds_the_files_sorted_with_one_time_and_one_mode() -> None:
    entries = zipfile.ZipFile(io.BytesIO(package.archive("booking", FILES))).infolist()

    assert [entry.filename for entry in entries] == sorted(FILES)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}


def test_a_package_that_terraform_cannot_upload_is_refused_by_name_and_size() -> None:
    too_much = {"main.py": random.Random(1).randbytes(package.SIZE_LIMIT)}  # noqa: S311 - no secret

    with pytest.raises(package.PackageTooLarge, match=r"^unlock\.zip has \d+ bytes"):
        package.archive("unlock", too_much)
