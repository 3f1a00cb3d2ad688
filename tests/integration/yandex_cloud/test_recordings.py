"""What the real Terraform provider asked and was answered, sent again to the fake."""

import base64
from pathlib import Path

import pytest

from local.yandex_cloud import YandexCloud
from tests.support.recordings import Replay, read, values

_RECORDINGS = Path(__file__).parent / "recordings"
_KEPT = {"yandex.cloud.operation.Operation", "yandex.cloud.access.ListAccessBindingsResponse"}
"""What destroy leaves: operations that were, and the folder's bindings, of which there are none."""


def test_real_provider_gets_the_answers_that_it_got(cloud: YandexCloud) -> None:
    replay = Replay(cloud)

    for name in ("apply", "plan", "destroy"):
        for call in read(_RECORDINGS / f"{name}.jsonl.gz"):
            assert replay.send(call) == []

    assert set(cloud.state.counts()) <= _KEPT


def test_storage_and_queues_get_the_answers_that_they_got(cloud: YandexCloud) -> None:
    replay = Replay(cloud)

    for call in read(_RECORDINGS / "storage.jsonl.gz"):
        assert replay.send(call) == []

    assert set(cloud.state.counts()) <= _KEPT


def test_replay_notices_another_answer_of_storage(cloud: YandexCloud) -> None:
    calls = [
        call
        for call in read(_RECORDINGS / "storage.jsonl.gz")
        if "BucketService.Create" in call["method"] or "?cors" in call["request"].get("url", "")
    ]
    calls[1]["answer"]["texts"][0][1] = "AnotherCode"
    replay = Replay(cloud)
    assert replay.send(calls[0]) == []

    (difference,) = replay.send(calls[1])

    assert difference.endswith("was 'AnotherCode' and is 'NoSuchCORSConfiguration'")


def test_replay_notices_another_answer(cloud: YandexCloud) -> None:
    calls = [
        call
        for call in read(_RECORDINGS / "apply.jsonl.gz")
        if call["method"].startswith("yandex.cloud.vpc.v1.NetworkService.")
    ]
    calls[0]["answer"]["response"]["name"] = "another"

    (difference,) = Replay(cloud).send(calls[0])

    assert "NetworkService.Create: .answer.response.name was 'another'" in difference


@pytest.mark.parametrize("name", ["apply", "plan", "destroy", "storage"])
def test_recordings_have_no_secrets(name: str) -> None:
    calls = read(_RECORDINGS / f"{name}.jsonl.gz")
    secret = {"password", "textValue", "secret", "content"}
    hidden = {"hidden value", base64.b64encode(b"hidden value").decode()}

    assert set(values(calls, secret)) <= hidden
    assert "PRIVATE KEY" not in str(calls)
