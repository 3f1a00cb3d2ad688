"""The text of a file: its size, kind and encoding are checked before anything reads it."""

import codecs
from pathlib import Path
from typing import NamedTuple

from tools import ToolError

MAX_BYTES = 20_000_000
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OLD_ENCODINGS = {"cp1251": "windows-1251", "cp866": "cp866"}
"""What Excel in Russia writes as CSV, and as CSV (MS-DOS)."""
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")  # .xlsx and .ods; .xls


class Text(NamedTuple):
    """The text of a file, and the encoding in which it was written."""

    content: str
    encoding: str


def read(path: Path) -> Text:
    """Read a file. Raises ToolError if it cannot be read, is too large, or is no text."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ToolError(
            f"{path} is larger than {MAX_BYTES // 1_000_000} MB; split it into several files"
        )
    if data.startswith(_WORKBOOKS):
        raise ToolError(f"{path} is a spreadsheet, not a CSV file; save it as CSV and import that")
    text = decode(data)
    if text is None:
        raise ToolError(f"{path} is not a text file; CSV, JSON or JSON Lines is needed")
    return text


def decode(data: bytes) -> Text | None:
    """Decode UTF-8, UTF-16 with a byte-order mark, windows-1251 or cp866; None if it is no text."""
    for mark, codec in _BOMS.items():
        if data.startswith(mark):
            return _decoded(data, codec, codec.removesuffix("-sig"))
    if (text := _decoded(data, "utf-8", "utf-8")) is not None or b"\0" in data:
        return text
    readings = [_decoded(data, codec, name) for codec, name in _OLD_ENCODINGS.items()]
    return max((r for r in readings if r), key=_russian_letters, default=None)


def _decoded(data: bytes, codec: str, name: str) -> Text | None:
    try:
        content = data.decode(codec)
    except UnicodeDecodeError:
        return None
    return None if "\0" in content else Text(content, name)


def _russian_letters(text: Text) -> int:
    return sum("А" <= letter <= "я" or letter in "Ёё" for letter in text.content)  # noqa: RUF001 - Cyrillic
