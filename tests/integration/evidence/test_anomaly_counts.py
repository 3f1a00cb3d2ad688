"""The same anomaly of a device counts up on its row."""

from datetime import timedelta

import pytest

from shared.repo import anomalies
from tests.support.service import Service


def rows(service: Service) -> list[dict[str, object]]:
    return service.sql("SELECT reason, detail, count FROM anomalies ORDER BY reason, detail")


def test_the_same_anomaly_counts_up_and_keeps_its_first_and_last_time(service: Service) -> None:
    service.add_cabinet()
    service.send_from("C-1", b"broken")
    service.advance_time(60)
    service.send_from("C-1", b"broken")
    [row] = service.sql("SELECT reason, count, first_at, at FROM anomalies")
    assert (row["reason"], row["count"]) == ("malformed", 2)
    assert row["at"] - row["first_at"] > timedelta(seconds=59)


def test_a_redelivered_message_is_not_counted(service: Service) -> None:
    service.add_cabinet()
    for _ in range(3):
        service.deliver(("C-1", b"broken"), event_id="the same")
    assert [row["count"] for row in rows(service)] == [1]


def test_the_same_anomaly_several_times_in_a_batch_is_one_row(service: Service) -> None:
    service.add_cabinet()
    service.send_from("C-1", *[b"broken"] * 100)
    assert [row["count"] for row in rows(service)] == [100]


def test_two_devices_have_a_row_each(service: Service) -> None:
    service.add_cabinet()
    service.add_cabinet("C-2")
    service.deliver(("C-1", b"broken"), ("C-2", b"broken"), ("nobody", b"broken"))
    assert len(rows(service)) == 3


def test_a_new_anomaly_is_logged_once(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.add_cabinet()
    capsys.readouterr()
    for _ in range(3):
        service.send_from("C-1", b"broken", b"broken")
    logged = [line for line in capsys.readouterr().out.splitlines() if '"anomaly"' in line]
    assert len(logged) == 1


def test_a_device_cannot_fill_the_table(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomalies, "MAX_KINDS", 5)
    service.add_cabinet()
    for number in range(12):
        boot = {"v": 1, "type": f"t{number}"}
        service.send_from("C-1", str(boot).replace("'", '"').encode())
    found = rows(service)
    assert len(found) == 6
    assert {"reason": "malformed", "detail": "more than 5 different ones", "count": 7} in found


def test_one_message_cannot_fill_the_table(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anomalies, "MAX_KINDS", 5)
    hardware = service.add_cabinet(cells=20)
    for cell in hardware.cells.values():
        cell.senses["battery_charge"] = 255
        cell.senses["accumulator_id"] = f"A-{cell.cell_number}"
    service.report()
    kinds = [row for row in rows(service) if row["reason"] == "unreadable_value"]
    assert len(kinds) == 6
    [total] = service.sql("SELECT sum(count) AS n FROM anomalies WHERE reason = 'unreadable_value'")
    assert total["n"] == 20


def test_the_beginning_of_a_large_message_is_kept(service: Service) -> None:
    service.add_cabinet()
    service.send_from("C-1", b"x" * 200_000)
    [anomaly] = service.get("/v1/anomalies")["anomalies"]
    assert anomaly["payload_bytes"] == 200_000
    [row] = service.sql("SELECT octet_length(payload) AS kept FROM anomalies")
    assert row["kept"] == anomalies.BYTES_KEPT


def test_an_unreadable_value_is_noted_once_until_it_changes(service: Service) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].senses["battery_charge"] = 255
    service.report()
    service.report()
    hardware.cells[1].senses["battery_charge"] = 254
    service.report()
    assert rows(service) == [
        {"reason": "unreadable_value", "detail": "cell 1: battery_charge is 254", "count": 1},
        {"reason": "unreadable_value", "detail": "cell 1: battery_charge is 255", "count": 2},
    ]


def test_an_anomaly_of_the_earlier_release_is_not_added_again(service: Service) -> None:
    service.add_cabinet()
    service.deliver(("C-1", b"broken"), event_id="the same")
    service.sql("UPDATE anomalies SET counted = false")
    service.deliver(("C-1", b"broken"), event_id="the same")
    assert len(rows(service)) == 1


def test_a_hundred_unreadable_messages_do_not_keep_the_others_from_being_applied(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[90])
    hardware.cells[1].senses["battery_charge"] = 50
    junk = [b"\xff" + bytes([n]) for n in range(100)]
    service.send_from("C-1", *junk, hardware.state_report(), *junk)
    assert service.cell(1)["battery_charge"] == 50
    service.check_invariants()


def test_beyond_the_limit_known_anomalies_still_count_up_and_none_is_left_out(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anomalies, "MAX_KINDS", 2)
    service.add_cabinet()
    junk = [f'{{"v": 1, "type": "t{number}"}}'.encode() for number in range(5)]
    service.send_from("C-1", *junk[:2])
    service.send_from("C-1", *junk)
    service.send_from("C-1", *junk)
    assert [(row["detail"], row["count"]) for row in rows(service)] == [
        ("more than 2 different ones", 6),
        ("type: 't0' is not a type of message", 3),
        ("type: 't1' is not a type of message", 3),
    ]
