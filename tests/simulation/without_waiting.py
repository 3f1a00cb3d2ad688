"""Random steps of backends that do not wait for a cabinet, or not to the end.

Each returns its line of the history, or None if it does nothing.
"""

from tests.simulation import backend
from tests.simulation.calls import Disruption
from tests.simulation.plan import Numbers
from tests.simulation.simulation import Simulation

PREFERENCES = (
    *("respond-async", "respond-async", "wait=0"),
    *("respond-async, wait=1", "wait=2", "wait=60"),
)


def unlock_without_waiting(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """A backend unlocks one of the three latest bookings."""
    known = sim.memory.bookings
    if not known:
        return None
    booking = known[-1 - numbers[0] % min(len(known), 3)]
    request = backend.unlock(booking.booking_id, _key(sim, numbers[1]), _preference(numbers[2]))
    return sim.request(request, disruption)


def command_without_waiting(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str:
    """An operator sends a command."""
    a, b, c, d = numbers
    body: dict[str, object] = {"kind": ("unlock", "lock", "report_state")[d % 3], "reason": "seen"}
    if d % 3 < 2:
        body["cells"] = [1 + b % sim.plan.cells]
    key, preference = _key(sim, b), _preference(c)
    return sim.request(backend.command(sim.cabinet_id(a), body, key, preference), disruption)


def _preference(number: int) -> str:
    return PREFERENCES[number % len(PREFERENCES)]


def _key(sim: Simulation, number: int) -> str | None:
    return f"key-{len(sim.memory.requests)}" if number % 2 else None


STEPS = {unlock_without_waiting: 8, command_without_waiting: 2}
