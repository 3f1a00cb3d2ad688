"""Encodings of files."""

import codecs

import pytest

from tools.fleet.text import Text, decode

CONTENT = "cabinet_id;address\nC-1;Москва, Тверская улица, 1\n"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (CONTENT.encode(), "utf-8"),
        (codecs.BOM_UTF8 + CONTENT.encode(), "utf-8"),
        (codecs.BOM_UTF16_LE + CONTENT.encode("utf-16-le"), "utf-16"),
        (codecs.BOM_UTF16_BE + CONTENT.encode("utf-16-be"), "utf-16"),
        (CONTENT.encode("cp1251"), "windows-1251"),
        (CONTENT.encode("cp866"), "cp866"),
    ],
)
def test_the_encoding_is_recognized(data: bytes, encoding: str) -> None:
    assert decode(data) == Text(CONTENT, encoding)


@pytest.mark.parametrize(
    "data",
    [
        CONTENT.encode("utf-16-le"),  # no byte-order mark
        CONTENT.encode("utf-32"),
        b"\x7fELF\x02\x01\x00\x00",
        b"\xef\xbb\xbf\xff",
        b"cabinet_id\0",
    ],
)
def test_what_is_no_text_is_not_decoded(data: bytes) -> None:
    assert decode(data) is None
