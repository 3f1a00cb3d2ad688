"""A technician's shift with the generated client and the cabinet's control interface."""

import json
import sys
import time
import urllib.request
from typing import Any

from cabinets_client import AuthenticatedClient
from cabinets_client.api.accumulators import list_accumulators
from cabinets_client.api.booking import create_booking, get_booking
from cabinets_client.api.cabinets import get_me, list_cabinets
from cabinets_client.api.swap import create_swap
from cabinets_client.api.unlock import unlock_booking
from cabinets_client.models import (
    Booking,
    BookingRequest,
    BookingRequestKind,
    BookingStatus,
    NotEnoughAccumulators,
    SwapRequest,
)

url, key, control_url, technician = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)


def act(cabinet_id: str, action: str, **arguments: Any) -> None:
    address = f"{control_url}/cabinets/{cabinet_id}/{action}"
    body = json.dumps(arguments).encode()
    with urllib.request.urlopen(urllib.request.Request(address, body)):  # noqa: S310 - a local URL
        pass


def book(kind: BookingRequestKind, count: int) -> Any:
    request = BookingRequest(
        cabinet_id=cabinet.cabinet_id, contractor_id=technician, kind=kind, count=count
    )
    return create_booking.sync(client=client, body=request)


def bag() -> list[str]:
    page = list_accumulators.sync(client=client, contractor_id=technician)
    return [one.accumulator_id for one in page.accumulators]


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks at the condition


assert get_me.sync(client=client).scope == "backend"
found = list_cabinets.sync(client=client, near="55.7558,37.6173", online=True, min_available=2)
cabinet = found.cabinets[0]
refused = book(BookingRequestKind.ISSUE, 50)
assert isinstance(refused, NotEnoughAccumulators), refused
assert (refused.code, refused.status, refused.requested) == ("not_enough_accumulators", 409, 50)

booking = book(BookingRequestKind.ISSUE, 1)
assert isinstance(booking, Booking), booking
unlock = unlock_booking.sync(booking.booking_id, client=client, idempotency_key=technician)
assert unlock.status == BookingStatus.COMPLETED, unlock
act(cabinet.cabinet_id, "take", cell=unlock.cells[0].cell_number, by=technician)
act(cabinet.cabinet_id, "close", cell=unlock.cells[0].cell_number)
assert bag() == [booking.cells[0].accumulator_id]

request = SwapRequest(
    scooter_id=f"S-{technician}",
    contractor_id=technician,
    installed_accumulator_id=bag()[0],
    removed_accumulator_id=f"F-{technician}",
    removed_battery_charge=7,
)
swap = create_swap.sync(client=client, body=request)
assert swap.removed.contractor_id == technician
assert bag() == [f"F-{technician}"]

booking = book(BookingRequestKind.RETURN, 1)
cell = booking.cells[0].cell_number
assert unlock_booking.sync(booking.booking_id, client=client).status == BookingStatus.RETURNING
act(cabinet.cabinet_id, "insert", cell=cell, accumulator=f"F-{technician}", charge=7)
act(cabinet.cabinet_id, "close", cell=cell)
wait_for(lambda: get_booking.sync(booking.booking_id, client=client).status == "completed")
assert bag() == []
print("Python client: shift completed")
