"""A short campaign of made-up messages and events; FUZZ_SECONDS in the environment prolongs it.

A failure shows the input that it came of.
"""

import base64
import json
import os
import random
from collections.abc import Iterator

import pytest

from shared.protocols import Undecodable, native_v1
from tests.campaign import events, fuzz, messages
from tests.campaign.messages import dice
from tests.service import Service, running

SECONDS = float(os.environ.get("FUZZ_SECONDS", "30"))  # noqa: TID251 - a setting of the tests
SEED = random.SystemRandom().getrandbits(32)


@pytest.fixture
def quick_service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    settings = {"UNLOCK_WAIT_SECONDS": "0.02", "LOG_LEVEL": "ERROR"}
    with running(database_url, monkeypatch, **settings) as service:
        yield service


@pytest.mark.timeout(SECONDS + 60)
def test_whatever_bytes_a_cabinet_sends_they_are_a_message_or_undecodable() -> None:
    counts = fuzz.decode_for(SECONDS / 3, SEED)
    assert min(counts["read"], counts["refused"]) > 0.1 * counts.total(), counts


@pytest.mark.timeout(SECONDS + 60)
def test_whatever_the_event_every_message_is_applied_or_kept_once(quick_service: Service) -> None:
    counts = fuzz.trigger_for(SECONDS * 2 / 3, SEED, quick_service)
    assert counts["records"] > 10 * SECONDS, counts


# --- the campaign itself ----------------------------------------------------------------------


def test_a_seed_makes_the_same_input_again() -> None:
    first, second = ([messages.payload(dice(1, n)) for n in range(300)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 280


def test_a_valid_message_is_valid_before_it_is_spoiled() -> None:
    for seed in range(200):
        native_v1.decode(messages.encoded(messages.valid(dice(seed))))


def test_a_decoder_that_raises_anything_else_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(payload: bytes) -> None:
        raise KeyError("x") if b"null" in payload else Undecodable("x")

    monkeypatch.setattr(native_v1, "decode", decode)
    with pytest.raises(fuzz.Broken, match="KeyError") as caught:
        fuzz.decode_for(10, 1)
    assert b"null" in base64.b64decode(str(caught.value).rpartition(" ")[2])


@pytest.mark.parametrize(
    "sabotage",
    [
        "DELETE FROM anomalies WHERE reason = 'malformed'",
        """INSERT INTO anomalies (reason, detail, device_id, event_id, payload)
           SELECT reason, 'again', device_id, event_id, payload FROM anomalies""",
        "UPDATE anomalies SET payload = payload || ' '",
        "DELETE FROM boots",
        "UPDATE accumulators SET battery_charge = NULL",
        "UPDATE accumulators SET cabinet_id = NULL, cell_number = NULL",
    ],
)
def test_what_a_database_tells_of_a_batch_is_checked(
    quick_service: Service, monkeypatch: pytest.MonkeyPatch, sabotage: str
) -> None:
    trigger = fuzz.Trigger(quick_service)
    trigger.prepare()
    invoke = quick_service.pool.invoke

    def spoil(name: str, event: object, *, timeout: float) -> object:
        answer = invoke(name, event, timeout=timeout)
        quick_service.sql(sabotage)
        return answer

    monkeypatch.setattr(quick_service.pool, "invoke", spoil)
    with pytest.raises(fuzz.Broken):
        check_some(trigger)


def check_some(trigger: fuzz.Trigger) -> None:
    for number in range(50):
        trigger.check(dice(number))


def test_records_are_spoiled_in_every_way() -> None:
    rng = dice(1)
    made = [events.batch(rng, ["C-1"], [], size=1)[0] for _ in range(2000)]
    of_nobody = [one for one in made if events.expected(one).event_id is None]
    assert 20 < len(of_nobody) < 400
    assert len({json.dumps(one) for one in of_nobody}) > 20
