"""The tools' client: what is tried again, and what is said when it is not."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.tools.fake_service import CUT, KEY, FakeService, Reply
from tools import ToolError
from tools.service import PAUSES, Service, add_connection, connect

BODY = b'{"accumulators": [{"accumulator_id": "A-1"}]}'


class Patient:
    """A client whose pauses take no time."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.pauses: list[float] = []
        self.lines: list[str] = []
        self.service = Service(url, key, sleep=self.pauses.append, notify=self.lines.append)


@pytest.fixture
def patient(fake: FakeService) -> Iterator[Patient]:
    patient = Patient(fake.url)
    with patient.service:
        yield patient


def test_a_cut_connection_doubles_nothing(fake: FakeService, patient: Patient) -> None:
    fake.planned = [CUT, CUT]
    [result] = patient.service.post("/v1/imports", BODY)["results"]
    assert result["result"] == "created"  # the stored answer of the first attempt
    assert (len(fake.requests), fake.executed) == (3, 1)
    assert len({key for key, _ in fake.requests}) == 1
    assert patient.lines[0].endswith(f"trying again (1 of {len(PAUSES)})")


def test_two_requests_have_different_idempotency_keys(fake: FakeService, patient: Patient) -> None:
    for _ in range(2):
        patient.service.post("/v1/imports", BODY)
    assert fake.executed == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_overloaded_or_broken_service_is_asked_again(
    fake: FakeService, patient: Patient, status: int
) -> None:
    fake.planned = [Reply(status)]
    assert patient.service.post("/v1/imports", BODY)["results"]
    assert len(fake.requests) == 2


def test_a_request_that_still_runs_is_waited_for(fake: FakeService, patient: Patient) -> None:
    fake.planned = [Reply(409, b'{"code": "request_in_progress", "detail": "wait"}')] * 2
    assert patient.service.post("/v1/imports", BODY)["results"]
    assert patient.lines[0].startswith("409 request_in_progress: wait; trying again")


def test_a_request_that_died_is_sent_under_a_new_key(fake: FakeService, patient: Patient) -> None:
    fake.planned = [Reply(409, b'{"code": "request_in_progress", "detail": "wait"}')] * 3
    assert patient.service.post("/v1/imports", BODY)["results"]
    first, *repeated, last = (key for key, _ in fake.requests)
    assert repeated == [first] * 2
    assert last != first


@pytest.mark.parametrize(
    ("value", "pause"), [("7", 7), ("0", PAUSES[0]), ("86400", 60), ("soon", PAUSES[0])]
)
def test_the_service_says_when_to_try_again_within_a_minute(
    fake: FakeService, patient: Patient, value: str, pause: float
) -> None:
    fake.planned = [Reply(503, headers=(("Retry-After", value),))]
    patient.service.post("/v1/imports", BODY)
    assert patient.pauses == [pause]


def test_the_attempts_end(fake: FakeService, patient: Patient) -> None:
    fake.planned = [Reply(503, b'{"code": "database_unavailable", "detail": "no"}')] * 100
    with pytest.raises(ToolError, match="503 database_unavailable: no; tried 8 times"):
        patient.service.post("/v1/imports", BODY)
    assert patient.pauses == [*PAUSES]


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            Reply(400, b'{"code": "invalid_request", "errors": [{"field": "x", "message": "no"}]}'),
            "POST /v1/imports was refused: 400 invalid_request: [{'field': 'x', 'message': 'no'}]",
        ),
        (Reply(404, b"<html>"), "POST /v1/imports was refused: 404 '<html>'"),
        (
            Reply(301, headers=(("Location", "https://other/"),)),
            "redirects to https://other/; give that address as --url",
        ),
    ],
)
def test_a_refusal_is_final_and_says_why(
    fake: FakeService, patient: Patient, reply: Reply, message: str
) -> None:
    fake.planned = [reply]
    with pytest.raises(ToolError) as refused:
        patient.service.post("/v1/imports", BODY)
    assert message in str(refused.value)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("me", "message"),
    [
        (Reply(401), "does not know the key (401)"),
        (Reply(403, b"plain text of a platform"), "does not know the key (403)"),
        (Reply(200, b"<html>hello</html>"), "answers, but it is not this service"),
        (Reply(200, b"[1]"), "answers, but it is not this service"),
        (Reply(404, b""), "answers, but it is not this service: GET /v1/me returned 404 None"),
        (
            Reply(200, b'{"caller": "bi", "scope": "read"}'),
            "the key 'bi' has the scope read; operator is needed",
        ),
    ],
)
def test_a_wrong_key_scope_or_url_is_said(
    fake: FakeService, patient: Patient, me: Reply, message: str
) -> None:
    fake.me = me
    with pytest.raises(ToolError) as refused:
        patient.service.require("operator")
    assert message in str(refused.value)


def test_a_url_where_nothing_listens_is_noticed_after_three_attempts() -> None:
    patient = Patient("http://127.0.0.1:1")
    with pytest.raises(ToolError, match=r"no connection \(Connection refused\); tried 3 times"):
        patient.service.require("read")


def test_an_unknown_host_is_named() -> None:
    with pytest.raises(ToolError, match=r"http://no-such-host\.invalid: no connection"):
        Patient("http://no-such-host.invalid").service.require("read")


def test_an_entry_of_netrc_does_not_replace_the_key(
    fake: FakeService, patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    patient.service.require("operator")


# --- arguments --------------------------------------------------------------------------------


def connected(*arguments: str, **environment: str) -> Service:
    parser = argparse.ArgumentParser()
    add_connection(parser)
    return connect(parser.parse_args(arguments), environment)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com/v1", "https://api.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_a_url_may_end_with_a_slash_or_with_the_version(url: str, expected: str) -> None:
    assert connected("--url", url, "--key", "k").url == expected


@pytest.mark.parametrize("url", ["", "example.com", "ftp://x", "http://", "http://[", "http://x:y"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ToolError, match="is not the URL of a service"):
        connected("--url", url or " ", "--key", "k")


def test_arguments_come_before_the_environment_and_the_environment_before_the_default() -> None:
    assert connected("--key", "k").url == "http://127.0.0.1:8080"
    named = {"SCOOTER_ACCUMULATOR_URL": "http://localhost:1", "SCOOTER_ACCUMULATOR_KEY": "k"}
    assert connected(**named).url == "http://localhost:1"
    assert connected("--url", "http://localhost:2", **named).url == "http://localhost:2"


def test_the_key_may_be_in_a_file(fake: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    with connected("--url", fake.url, "--key-file", str(file)) as service:
        service.require("operator")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an API key is needed"),
        (b"two\nlines", "must be one line of visible ASCII characters"),
        (b"\xff\xfe", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_key_file_without_a_key_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ToolError, match=message):
        connected("--key-file", str(file))


@pytest.mark.parametrize(
    ("url", "warned"), [("http://10.0.0.5:8080", True), ("https://10.0.0.5", False), ("", False)]
)
def test_a_key_that_travels_without_encryption_is_warned_about(
    capsys: pytest.CaptureFixture[str], url: str, warned: Any
) -> None:
    connected("--key", "k", *(["--url", url] if url else []))
    assert ("without encryption" in capsys.readouterr().err) is warned
