"""Random messages of cabinets: valid ones, mutated in their structure and in their bytes.

Every input has its own random generator, so its seed reproduces it.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

MAX_BYTES = 256 * 1024
"""The limit of the protocol."""

Tree = Any
"""A JSON value, in which a RawText stands for text that no JSON encoder writes."""
Places = list[tuple[Any, Any]]
"""The places of a tree's values: a list or object, and an index or key."""


class RawText(str):
    """Text that is written as it is, in the place of a value."""

    __slots__ = ()


def rng_for(*seed: object) -> random.Random:
    """Return the random generator of an input."""
    return random.Random(":".join(map(str, seed)))  # noqa: S311 - reproducible


# fmt: off
NUMBERS = [
    "1e400", "-1e400", "1e-400", "-0", "-0.0", "0.1", "1.0", "1E0", "1e2", "1e18", "NaN",
    "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x10", "1_000", "\u0661",
    "2147483647", "2147483648",
    "32768", "9223372036854775806", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "9" * 30, "9" * 4301,
    "9" * 5000, "-" + "9" * 5000, "0." + "3" * 5000, "1e" + "9" * 20,
]
STRINGS = [
    '""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udfff\\ud800"', '"\\ud83d\\ude00"',
    '"😀"', '"\\u202eevil"', '"\u202eש"', '"\\ufeff"', '"\\uffff"', '"e\\u0301"', '"\\x41"', '"\\"',
    '"\n"', '"\t"', '"\x00"', '"\x7f"', '"?"', '"A-1\\n"', '"null"', '"\';DROP TABLE cells;--"',
    '"%s%(x)s{}"', '"$1"', '"\\\\"', '"' + "x" * 64 + '"', '"' + "x" * 65 + '"',
    '"' + "я" * 64 + '"', '"' + "😀" * 64 + '"', '"' + "x" * 100_000 + '"', '"../../etc"',
]
STRUCTURES = [
    "null", "true", "false", "{}", "[]", "[[]]", "[null]", "{\"a\":{}}", "[" * 190 + "]" * 190,
    "[" * 100_000, "[" * 3000 + "]" * 3000, '{"a":' * 250 + "1" + "}" * 250,
    "[" + "0," * 20_000 + "0]", "[" + "{}," * 1001 + "{}]", "", ",", ":", "undefined",
    "//x", "/**/1",
]
EDGES: list[Any] = [
    0, -1, 1, 1000, 1001, 100, 101, 64, 2**31, 2**63 - 1, 2**63,
    None, True, "1", "", 0.5, [],
]
BYTES = [
    b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\x1a",
    b"\\u0000", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\r\n", b"\xe2\x80\xae", b"-",
    b"e9",
]
NAMES = [
    "v", "type", "boot_id", "seq", "sent_at", "command_id", "status", "reason", "cells", "cell",
    "cell_number", "result", "accumulator_id", "battery_charge", "state_of_health", "charging",
    "temperature_c", "fault", "door", "alarms", "firmware", "cells_total", "__proto__", "", "я",
]
TYPES = ["command_result", "state_report", "cell_event", "hello"]
BOOTS = ["b-1", "b-2", "b-3", "я", "b" * 64]
RESULTS = ["opened", "locked", "jammed", "not_detected", "empty", "occupied", "faulty", "sung"]
# fmt: on


def valid(rng: random.Random, commands: Sequence[str] = (), *, cells: int = 6) -> Tree:
    """Return a message that the protocol allows, of a cabinet with this number of cells."""
    kind = rng.choice(TYPES)
    numbers = rng.sample(range(1, cells + 1), rng.randint(0, cells))
    numbers += [rng.randint(cells + 1, 1000)] * (rng.random() < 0.05)
    bodies: dict[str, Callable[[], dict[str, Any]]] = {
        "command_result": lambda: {
            "command_id": rng.choice([*commands, "no-such-command"]),
            "status": rng.choice(["done", "done", "done", "rejected", "expired"]),
            "cells": [_result(rng, number) for number in numbers],
        },
        "state_report": lambda: {
            "command_id": rng.choice([*commands, None]),
            "alarms": rng.choice([[], ["smoke"], ["over_temperature", "door"]]),
            "cells": [_state(rng, number) for number in numbers],
        },
        "cell_event": lambda: {"cell": _state(rng, rng.randint(1, cells))},
        "hello": lambda: {"firmware": "1.4.2", "cells_total": rng.choice([cells, 12])},
    }
    seq = rng.choice([rng.randrange(100), rng.randrange(2**63)])
    # Most have a new boot_id: a message of a known boot is applied only if its seq is higher.
    boot_id = rng.choice([*BOOTS, *[f"b-{rng.getrandbits(32)}"] * 7])
    return {"v": 1, "type": kind, "boot_id": boot_id, "seq": seq, **bodies[kind]()}


def payload(rng: random.Random, commands: Sequence[str] = ()) -> bytes:
    """Return the bytes of a message; most are mutated in one to four places."""
    if rng.random() < 0.03:
        return rng.randbytes(rng.choice([0, 1, 7, 300]))
    message = valid(rng, commands)
    depth = rng.choice([0, 1, 1, 1, 2, 2, 4])
    for _ in range(depth):
        rng.choice(MUTATIONS)(rng, message)
    text = encoded(message)
    if depth and rng.random() < 0.3:
        text = rng.choice(BYTE_MUTATIONS)(rng, text)
    return text


def encoded(tree: Tree) -> bytes:
    """Return the JSON text; half a surrogate pair is encoded as UTF-8 forbids it."""
    return _text(tree).encode(errors="surrogatepass")


# --- valid parts ------------------------------------------------------------------------------


def _state(rng: random.Random, number: int) -> Tree:
    return {
        "cell_number": number,
        "door": rng.choice(["open", "closed", "closed", "closed", "unknown"]),
        "accumulator_id": rng.choice(
            [f"A-{rng.randint(1, 9)}", f"A-{rng.randint(1, 9)}", None, "?"]
        ),
        "battery_charge": rng.choice([rng.randint(0, 100), None, 255]),
        "temperature_c": rng.choice([24.5, 61, None]),
        "fault": rng.choice([None, None, None, "lock"]),
    }


def _result(rng: random.Random, number: int) -> Tree:
    accumulator_id = rng.choice([f"A-{rng.randint(1, 9)}", None, "?"])
    charge = rng.choice([rng.randint(0, 100), None, -1])
    inside = {"accumulator_id": accumulator_id, "battery_charge": charge}
    return {"cell_number": number, "result": rng.choice(RESULTS)} | rng.choice([{}, inside])


# --- mutations of the structure ---------------------------------------------------------------


def _places(tree: Tree) -> Places:
    found: Places = []
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in [*pairs]:
        found.append((tree, key))
        if isinstance(value, dict | list):
            found += _places(value)
    return found


def _replace(rng: random.Random, message: Tree) -> None:
    if places := _places(message):
        container, key = rng.choice(places)
        tokens = rng.choice([NUMBERS, STRINGS, STRUCTURES])
        container[key] = rng.choice([RawText(rng.choice(tokens)), rng.choice(EDGES)])


def _remove(rng: random.Random, message: Tree) -> None:
    if places := _places(message):
        container, key = rng.choice(places)
        del container[key]


def _rename(rng: random.Random, message: Tree) -> None:
    if places := [(c, k) for c, k in _places(message) if isinstance(c, dict)]:
        container, key = rng.choice(places)
        container[rng.choice(NAMES)] = container.pop(key)


def _double_key(rng: random.Random, message: Tree) -> None:
    """Double a key: the raw text ends the first value and repeats the key."""
    if places := [(c, k) for c, k in _places(message) if isinstance(c, dict)]:
        container, key = rng.choice(places)
        other = _text(rng.choice(EDGES))
        container[key] = RawText(f"{other},{json.dumps(key)}:{_text(container[key])}")


def _copy(rng: random.Random, message: Tree) -> None:
    """Copy a value to another place, or append it to a list."""
    if places := _places(message):
        (source, key), (target, place) = rng.choice(places), rng.choice(places)
        value = RawText(_text(source[key]))
        if isinstance(target, list):
            target.extend([value] * rng.choice([1, 1, 2, 1001]))
        else:
            target[place] = value


MUTATIONS: list[Callable[[random.Random, Tree], None]] = [
    _replace, _replace, _replace, _remove, _rename, _double_key, _copy,
]  # fmt: skip


# --- mutations of the bytes -------------------------------------------------------------------


def _flip(rng: random.Random, text: bytes) -> bytes:
    at = rng.randrange(len(text) + 1)
    return text[:at] + bytes([rng.randrange(256)]) + text[at + 1 :]


def _insert(rng: random.Random, text: bytes) -> bytes:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(BYTES) + text[at:]


def _cut(rng: random.Random, text: bytes) -> bytes:
    start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    return rng.choice([text[:end], text[start:], text[:start] + text[end:], text + text[start:end]])


def _encode(rng: random.Random, text: bytes) -> bytes:
    words = text.decode(errors="replace")
    encoding = rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "utf-7", "latin-1"])
    return words.encode(encoding, errors="replace")


def _pad(rng: random.Random, text: bytes) -> bytes:
    size = MAX_BYTES + rng.choice([-1, 0, 1])
    return rng.choice([text.ljust, text.rjust])(size, rng.choice([b" ", b"\n", b"\x00"]))


BYTE_MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [
    _flip, _flip, _insert, _cut, _encode, _pad,
]  # fmt: skip


def _text(tree: Tree) -> str:
    if isinstance(tree, RawText):
        return str(tree)
    if isinstance(tree, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{_text(v)}" for k, v in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(_text, tree)) + "]"
    return json.dumps(tree)
