"""A short fuzz run, and tests of the fuzzer; FUZZ_SECONDS in the environment sets the duration."""

import base64
import json
import os
import random
from collections.abc import Iterator

import pytest

from shared.protocols import Undecodable, native_v1
from tests.campaign import events, fuzz, messages
from tests.campaign.messages import rng_for
from tests.support.service import Service, running

SECONDS = float(os.environ.get("FUZZ_SECONDS", "3"))  # noqa: TID251 - a setting of the tests
SEED = random.SystemRandom().getrandbits(32)


@pytest.fixture
def quick_service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    settings = {"UNLOCK_WAIT_SECONDS": "0.02", "LOG_LEVEL": "ERROR"}
    with running(database_url, monkeypatch, **settings) as service:
        yield service


@pytest.mark.timeout(SECONDS + 60)
def test_random_bytes_are_decoded_or_undecodable() -> None:
    counts = fuzz.decode_for(SECONDS / 3, SEED)
    assert min(counts["decoded"], counts["refused"]) > 0.1 * counts.total(), counts


@pytest.mark.timeout(SECONDS + 60)
def test_every_message_of_a_random_event_is_applied_or_stored_once(quick_service: Service) -> None:
    counts = fuzz.trigger_for(SECONDS * 2 / 3, SEED, quick_service)
    assert counts["records"] > 10 * SECONDS, counts


# --- the fuzzer -------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_input() -> None:
    first, second = ([messages.payload(rng_for(1, n)) for n in range(300)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 280


def test_a_message_is_valid_before_it_is_mutated() -> None:
    for seed in range(200):
        native_v1.decode(messages.encoded(messages.valid(rng_for(seed))))


def test_a_decoder_that_raises_another_exception_is_detected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decode(payload: bytes) -> None:
        raise KeyError("x") if b"null" in payload else Undecodable("x")

    monkeypatch.setattr(native_v1, "decode", decode)
    with pytest.raises(fuzz.PromiseBroken, match="KeyError") as caught:
        fuzz.decode_for(10, 1)
    assert b"null" in base64.b64decode(str(caught.value).rpartition(" ")[2])


@pytest.mark.parametrize(
    "damage",
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
def test_a_damaged_database_is_detected(
    quick_service: Service, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    trigger = fuzz.TriggerFuzzer(quick_service)
    trigger.prepare()
    invoke = quick_service.pool.invoke

    def invoke_and_damage(name: str, event: object, *, timeout: float) -> object:
        result = invoke(name, event, timeout=timeout)
        quick_service.sql(damage)
        return result

    monkeypatch.setattr(quick_service.pool, "invoke", invoke_and_damage)
    with pytest.raises(fuzz.PromiseBroken):
        check_batches(trigger)


def check_batches(trigger: fuzz.TriggerFuzzer) -> None:
    for number in range(50):
        trigger.check(rng_for(number))


def test_some_records_are_malformed_in_many_ways() -> None:
    rng = rng_for(1)
    made = [events.batch(rng, ["C-1"], [], size=1)[0] for _ in range(2000)]
    malformed = [one for one in made if events.expected(one).event_id is None]
    assert 20 < len(malformed) < 400
    assert len({json.dumps(one) for one in malformed}) > 20
