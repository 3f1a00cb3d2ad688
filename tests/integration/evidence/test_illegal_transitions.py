"""A state change that `shared/states.py` does not allow: kept as an anomaly, not applied."""

import psycopg2
import pytest

from shared.evidence.records import Booking
from shared.states import BOOKING, Machine, Transition
from tests.support import state_guard
from tests.support.service import Service


@pytest.fixture
def machine_without_all_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `all_opened` illegal for a booking that is unlocking."""
    kept = [t for t in BOOKING.transitions if t.event != "all_opened"]
    narrower = Machine(
        BOOKING.name,
        states=BOOKING.states,
        initial=BOOKING.initial,
        final=BOOKING.final,
        transitions=(*kept, Transition("all_opened", ("active",), "completed")),
    )
    monkeypatch.setattr(Booking, "machine", narrower)


@pytest.mark.usefixtures("machine_without_all_opened")
def test_an_illegal_transition_leaves_the_state_and_becomes_an_anomaly(service: Service) -> None:
    service.add_cabinet(charges=[95])
    service.sql("ALTER TABLE anomalies DISABLE TRIGGER state_guard")
    booking = service.book()

    service.unlock(booking)

    assert service.booking(booking)["status"] == "unlocking"
    [anomaly] = service.sql("SELECT reason, detail FROM anomalies")
    assert anomaly["reason"] == "illegal_transition"
    assert anomaly["detail"] == "booking: all_opened is not possible in state unlocking"
    assert service.place("C-1.A-1") == {
        "contractor_id": "T-1"
    }  # the evidence is applied all the same


def test_the_state_guard_refuses_a_change_that_the_state_machine_does_not_allow(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    service.book()
    service.sql("UPDATE bookings SET status = 'cancelled', finished_at = now()")
    with pytest.raises(psycopg2.DatabaseError, match="cancelled to active") as refused:
        service.sql("UPDATE bookings SET status = 'active', finished_at = NULL")
    assert refused.value.pgcode == state_guard.ERROR
