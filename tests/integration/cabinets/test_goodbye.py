"""The last will: a cabinet that is cut off is offline at once."""

import pytest

from tests.support.service import Message, Service


def hello(service: Service, session: str | None) -> Message:
    """Return a hello of the cabinet's next connection."""
    report = service.cabinets["C-1"].state_report()
    head = {name: report[name] for name in ("v", "boot_id", "seq")}
    return {**head, "type": "hello", **({"session": session} if session else {})}


def goodbye(service: Service, session: str, boot_id: str | None = None) -> Message:
    """Return the last will of a connection."""
    boot = boot_id or service.cabinets["C-1"].boot_id
    return {"v": 1, "type": "goodbye", "boot_id": boot, "session": session}


def is_online(service: Service) -> bool:
    online: bool = service.get("/v1/cabinets/C-1")["online"]
    return online


@pytest.fixture
def connected(service: Service) -> Service:
    """A cabinet whose connection is s-1."""
    service.add_cabinet(charges=[90])
    service.send_from("C-1", hello(service, "s-1"))
    return service


def test_a_cabinet_that_is_cut_off_is_offline_at_once_until_its_next_message(
    connected: Service,
) -> None:
    connected.send_from("C-1", goodbye(connected, "s-1"))
    assert not is_online(connected)
    assert connected.request_booking().body["code"] == "cabinet_offline"
    assert connected.get("/v1/cabinets?online=true")["cabinets"] == []
    connected.report()
    assert is_online(connected)
    assert connected.anomalies() == []
    connected.check_invariants()


def test_a_stale_will_changes_nothing(connected: Service) -> None:
    connected.send_from("C-1", hello(connected, "s-2"), goodbye(connected, "s-1"))
    assert is_online(connected)


@pytest.mark.parametrize("session", ["s-1", "s-2", "other"])
def test_a_will_of_another_boot_changes_nothing(connected: Service, session: str) -> None:
    connected.send_from("C-1", goodbye(connected, session, boot_id="another boot"))
    assert is_online(connected)
    connected.report()  # and that boot has not become the current one
    assert connected.anomalies() == []


def test_a_cabinet_that_names_no_session_has_no_will(service: Service) -> None:
    service.add_cabinet()
    service.send_from("C-1", hello(service, None))
    will = goodbye(service, "s-1")
    del will["session"]
    service.send_from("C-1", will)
    assert is_online(service)


def test_an_overtaken_hello_does_not_bring_its_session_back(connected: Service) -> None:
    earlier, later = hello(connected, "s-2"), hello(connected, "s-3")
    connected.send_from("C-1", later, earlier)
    connected.send_from("C-1", goodbye(connected, "s-3"))
    assert not is_online(connected)


def test_a_will_does_not_count_as_a_sign_of_life(connected: Service) -> None:
    connected.advance_time(86_400)
    before = connected.get("/v1/cabinets/C-1")["last_seen_at"]
    connected.send_from("C-1", goodbye(connected, "old"))
    assert connected.get("/v1/cabinets/C-1")["last_seen_at"] == before
    assert not is_online(connected)
