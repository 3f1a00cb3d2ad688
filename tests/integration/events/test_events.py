"""What is in the feed: each event with its cause, and the resource as the API shows it then."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from shared import config, db
from shared.models.cabinets import Cabinet
from shared.repo import cabinets
from tests.integration.events.following import Event, Follower
from tests.support.service import Service

# --- the resource is what the API shows -------------------------------------------------------


def shown_now(service: Service, event: Event) -> Any:
    """Return what the API answers about the event's resource."""
    noun, subject, cabinet = event["type"].partition(".")[0], event["subject"], event["cabinet_id"]
    if event["type"] == "accumulator.moved":
        return service.get(f"/v1/accumulators/{subject}/movements")["movements"][0]
    if noun == "cell":
        return service.cell(int(subject.partition("/")[2]), cabinet)
    plural = {"booking": "bookings", "command": "commands", "accumulator": "accumulators"}
    found = service.get(f"/v1/{plural.get(noun, 'cabinets')}/{subject}")
    if noun == "cabinet":
        found = {name: found[name] for name in Cabinet.model_fields}
    return found


def check_last(service: Service, events: list[Event]) -> set[str]:
    """Compare the last event of each resource with what the API answers; return their types."""
    last = {(e["type"].partition(".")[0], e["subject"], e["type"] == "accumulator.moved"): e
            for e in events if e["type"] not in {"anomaly.raised", "cabinet.removed"}}  # fmt: skip
    for event in last.values():
        assert event["resource"] == shown_now(service, event), event["type"]
    return {event["type"] for event in last.values()}


def test_the_resource_of_an_event_is_what_the_api_shows(
    service: Service, follower: Follower
) -> None:
    seen: set[str] = set()

    def check() -> None:
        nonlocal seen
        seen |= check_last(service, follower.read())

    hardware = service.connect("C-1")
    for cell, charge in enumerate([98, 95, 20], start=1):
        service.post("/v1/accumulators", {"accumulator_id": f"A-{cell}"})
        hardware.cells[cell].accumulator = Accumulator(f"A-{cell}", charge)
    check()
    service.report()
    check()
    booking = service.book(2)
    check()
    service.unlock(booking)
    check()
    service.take(1)
    check()
    swap = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "A-1"}
    service.post("/v1/swaps", swap | {"removed_accumulator_id": "X", "removed_battery_charge": 7})
    check()
    back = service.book(1, "return")
    check()
    service.unlock(back)
    check()
    service.put(back["cells"][0]["cell_number"], Accumulator("X", 7))
    check()
    service.delete(f"/v1/bookings/{service.book(1, min_charge=10)['booking_id']}")
    check()
    service.patch("/v1/cabinets/C-1/cells/5", {"health": "disabled", "reason": "bent"})
    check()
    service.patch("/v1/cabinets/C-1", {"address": "Tverskaya 1", "cells_total": 8})
    check()
    service.patch("/v1/accumulators/A-3", {"battery_charge": 90, "reason": "measured"})
    check()
    service.book(1)
    service.advance_time(1801)
    service.poll()
    check()
    assert seen >= {
        *("booking.created", "booking.completed", "booking.returning", "booking.cancelled"),
        *("booking.expired", "command.succeeded", "accumulator.moved", "accumulator.changed"),
        *("cabinet.changed", "cabinet.online", "cell.changed"),
    }


def test_the_resource_of_a_cabinet_that_fell_silent_is_what_the_api_shows(
    service: Service, follower: Follower
) -> None:
    service.add_cabinet(charges=[98])
    service.lose_commands = True
    service.advance_time(181)
    follower.read()
    service.poll()
    assert "cabinet.offline" in check_last(service, follower.read())


def test_the_settings_of_the_last_poll_decide_what_a_cabinet_shows_as_available(
    service: Service, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIN_ISSUE_CHARGE", "30")
    config.settings.cache_clear()
    service.poll()
    service.add_cabinet(charges=[40])
    service.patch("/v1/cabinets/C-1", {"address": "x"})
    changed = [e for e in follower.read() if e["type"] == "cabinet.changed"]
    assert changed[-1]["resource"]["accumulators"]["available"] == 1


# --- which events -----------------------------------------------------------------------------


def test_an_unlock_writes_what_happened_in_order(service: Service, follower: Follower) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    follower.read()
    service.hold_messages = True
    service.call("POST", f"/v1/bookings/{booking['booking_id']}/unlock")
    assert follower.types() == [
        *("command.pending", "booking.unlocking", "command.published", "command.no_answer"),
    ]
    service.deliver_held_messages()
    late = follower.read()
    kinds = [e["type"] for e in late if not e["type"].startswith("cell.")]
    assert sorted(kinds) == ["accumulator.moved", "booking.completed", "command.succeeded"]
    assert [e["resource"]["late"] for e in late if e["type"] == "command.succeeded"] == [True]


def test_a_booking_whose_cells_change_with_its_status_has_one_event(
    service: Service, follower: Follower
) -> None:
    service.add_cabinet(charges=[98, 97])
    booking = service.book(2)
    follower.read()
    service.delete(f"/v1/bookings/{booking['booking_id']}")
    assert follower.types(types="booking.changed,booking.cancelled") == ["booking.cancelled"]


def test_a_booking_whose_cell_is_replaced_has_changed(service: Service, follower: Follower) -> None:
    hardware = service.add_cabinet(charges=[98, 97])
    service.book(1)
    follower.read()
    hardware.cells[1].fault = "lock"
    service.report()
    changed = [e for e in follower.read() if e["type"] == "booking.changed"]
    states = {c["cell_number"]: c["state"] for c in changed[-1]["resource"]["cells"]}
    assert states == {1: "released", 2: "held"}


def test_charges_that_a_cabinet_reports_are_not_in_the_feed(
    service: Service, follower: Follower
) -> None:
    hardware = service.add_cabinet(charges=[50, 60])
    follower.read()
    for cell in (1, 2):
        hardware.cells[cell].accumulator = Accumulator(f"C-1.A-{cell}", 70)
    service.report()
    assert follower.read() == []
    assert service.get("/v1/accumulators/C-1.A-1")["battery_charge"] == 70


def test_a_report_that_changes_nothing_and_a_poll_write_no_event(
    service: Service, follower: Follower
) -> None:
    service.add_cabinet(charges=[50])
    follower.read()
    service.report()
    service.poll()
    assert follower.read() == []


def test_a_repeated_anomaly_has_one_event(service: Service, follower: Follower) -> None:
    service.connect("C-1")
    follower.read()
    for _ in range(3):
        service.send_from("C-1", b"not a message")
    service.send_from("C-9", b"{}")
    raised = follower.read(types="anomaly.raised")
    assert [(e["resource"]["reason"], e["caused_by"]) for e in raised] == [
        ("malformed", "C-1"),
        ("unknown_device", "C-9"),
    ]
    [listed] = service.get("/v1/anomalies?reason=unknown_device")["anomalies"]
    without_message = {k: v for k, v in listed.items() if not k.startswith("payload")}
    assert raised[1]["resource"] == without_message


def test_a_removed_cabinet_is_in_the_feed(service: Service, follower: Follower) -> None:
    service.connect("C-1")
    follower.read()
    service.delete("/v1/cabinets/C-1")
    [event] = follower.read()
    assert (event["type"], event["subject"], event["caused_by"]) == (
        "cabinet.removed",
        "C-1",
        "operator",
    )


# --- online and offline -----------------------------------------------------------------------


def test_a_cabinet_is_online_with_its_first_message(service: Service, follower: Follower) -> None:
    service.connect("C-1")
    follower.read()
    service.report()
    service.report()
    assert follower.types(types="cabinet.online") == ["cabinet.online"]


def test_the_poll_announces_a_cabinet_that_fell_silent_once(
    service: Service, follower: Follower
) -> None:
    service.add_cabinet()
    service.lose_commands = True
    service.advance_time(181)
    follower.read()
    service.poll()
    service.poll()
    [event] = follower.read()
    assert (event["type"], event["caused_by"]) == ("cabinet.offline", "poll")
    service.report()
    assert follower.types() == ["cabinet.online"]


@contextmanager
def db_of_another_instance() -> Iterator[ThreadPoolExecutor]:
    """A thread, which has a database connection of its own."""
    with ThreadPoolExecutor(1) as thread:
        yield thread
        thread.submit(db.close).result()


def announce() -> int:
    with db.statements() as tx:
        return cabinets.announce(tx, offline_after=180, limit=10)


def test_the_poll_does_not_wait_for_a_cabinet_that_is_locked(
    service: Service, follower: Follower
) -> None:
    service.add_cabinet("C-1")
    service.add_cabinet("C-2")
    service.advance_time(181)
    follower.read()
    with db.transaction() as tx:
        cabinets.lock(tx, ["C-1"])
        with db_of_another_instance() as other:
            assert other.submit(announce).result() == 1
    db.close()
    assert [e["subject"] for e in follower.read(types="cabinet.offline")] == ["C-2"]


def test_a_last_will_announces_the_cabinet_at_once(service: Service, follower: Follower) -> None:
    hardware = service.add_cabinet()
    service.send_from("C-1", hardware.hello() | {"session": "s-1"})
    follower.read()
    head = {"v": 1, "type": "goodbye", "boot_id": hardware.boot_id}
    service.send_from("C-1", head | {"session": "s-1"})
    assert follower.types() == ["cabinet.offline"]


def test_a_message_that_an_older_release_applied_is_announced_by_the_poll(
    service: Service, follower: Follower
) -> None:
    service.connect("C-1")
    service.lose_commands = True
    service.sql("UPDATE cabinets SET last_seen_at = now()")  # as that release writes it
    follower.read()
    service.poll()
    assert follower.types() == ["cabinet.online"]


# --- who caused it ----------------------------------------------------------------------------


def test_an_event_names_the_key_the_device_or_the_poll(
    service: Service, follower: Follower
) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.unlock(booking)
    service.lose_commands = True
    service.book(1, "return")
    service.advance_time(1801)
    service.poll()
    causes = {(e["type"], e["caused_by"]) for e in follower.read()}
    assert causes >= {
        ("cabinet.changed", "operator"),
        ("booking.created", "backend"),
        ("command.pending", "backend"),
        ("command.succeeded", "C-1"),
        ("booking.completed", "C-1"),
        ("booking.expired", "poll"),
    }


def test_an_unknown_accumulator_is_registered_by_the_device_that_reports_it(
    service: Service, follower: Follower
) -> None:
    hardware = service.connect("C-1")
    hardware.cells[1].accumulator = Accumulator("NEW-1", 50)
    follower.read()
    service.report()
    causes = {e["caused_by"] for e in follower.read(types="accumulator.moved")}
    assert causes == {"C-1"}


def test_a_caller_whose_name_has_other_characters_is_named_without_them(
    service: Service, follower: Follower
) -> None:
    service.connect("C-1")
    follower.read()
    db.attribute_to("o'brien; %(x)s")
    with db.transaction() as tx:
        tx.execute("UPDATE cabinets SET address = %(address)s", {"address": "x"})
    db.attribute_to(None)
    db.close()
    assert [e["caused_by"] for e in follower.read()] == ["o_brien____x_s"]


def test_the_caller_of_one_request_is_not_named_in_the_next_one(
    service: Service, follower: Follower
) -> None:
    service.connect("C-1")
    service.sql("UPDATE cabinets SET address = 'by hand'")
    assert [e["caused_by"] for e in follower.read()] == ["operator", "C-1"]
