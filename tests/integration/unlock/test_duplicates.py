"""Edge cases E05, E06 and E08: duplicate replies, requests and openings."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.integration.unlock.lost_messages import execute_late, get_command, unlock_without_reply
from tests.integration.unlock.waiting_callers import SECONDS
from tests.support.service import Service
from tests.support.waiting import wait_until


def test_e05_a_reply_delivered_twice_moves_the_accumulator_once(service: Service) -> None:
    service.add_cabinet(charges=[90])
    service.hold_messages = True
    service.unlock(service.book())
    [reply] = service.held_messages
    service.deliver(reply, reply)
    assert service.movement_causes("C-1.A-1") == ["registered", "reported", "issued"]
    service.check_invariants()


def test_e05_a_second_different_reply_changes_nothing(service: Service) -> None:
    service.add_cabinet(charges=[90])
    service.hold_messages = True
    booking = service.book()
    command_id = unlock_without_reply(service, booking)
    [(_, reply)] = service.held_messages
    second = {**reply, "seq": reply["seq"] + 1, "status": "rejected", "reason": "busy"}
    service.deliver(("C-1", reply), ("C-1", second))
    assert get_command(service, command_id)["status"] == "succeeded"
    assert service.booking(booking)["status"] == "completed"
    service.check_invariants()


def test_e06_simultaneous_unlocks_wait_for_one_command_and_get_its_result(
    patient_service: Service,
) -> None:
    service = patient_service
    service.add_cabinet(charges=[90])
    booking = service.book()
    service.hold_messages = True
    with ThreadPoolExecutor(3) as threads:
        requests = [threads.submit(service.unlock, booking) for _ in range(3)]
        wait_until(lambda: service.held_messages, seconds=SECONDS)
        service.hold_messages = False
        service.deliver_held_messages()
        responses = [request.result(SECONDS) for request in requests]
    assert [response.status for response in responses] == [200, 200, 200]
    assert responses[0].body == responses[1].body == responses[2].body
    assert len(service.queue.commands("unlock")) == 1
    assert service.movement_causes("C-1.A-1").count("issued") == 1
    service.check_invariants()


def test_e06_a_repeated_unlock_returns_the_stored_result_and_opens_nothing(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    booking = service.book()
    first = service.unlock(booking)
    service.take(1)
    again = service.unlock(booking)
    assert (again.status, again.body) == (200, first.body)
    assert len(service.queue.published) == 1
    assert hardware.cells[1].openings == 1
    service.check_invariants()


def test_e08_a_second_opening_for_one_command_is_recorded_as_an_anomaly(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.firmware = replace(hardware.firmware, executes_once=False)
    service.unlock(service.book())
    service.take(1)
    execute_late(service, hardware, service.queue.commands("unlock")[0])
    service.report()
    assert hardware.double_openings == 1
    assert "opened_without_command" in service.anomalies()
    assert service.movement_causes("C-1.A-1").count("issued") == 1
    service.check_invariants()
