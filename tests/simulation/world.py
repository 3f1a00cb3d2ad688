"""The physical truth: where each accumulator really is, each door, and who opened it.

The cabinets are the simulated hardware, which shares no code with the service.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from local.cabinet.cells import Accumulator, Cell
from local.cabinet.hardware import Firmware, Hardware, Message, Reply
from tests.simulation.clock import Clock
from tests.simulation.network import Line, Network
from tests.simulation.plan import Plan

Spot = tuple[str, int]
"""A cell: cabinet and number."""


@dataclass(frozen=True)
class Opening:
    """Why a door is open: the command that opened it; None: somebody broke it open."""

    command_id: str | None


@dataclass
class Unit:
    """One cabinet and how it behaves."""

    hardware: Hardware
    powered: bool = True
    holding: bool = False
    twice: bool = False
    mute: bool = False
    held: list[bytes] = field(default_factory=list)
    later: list[tuple[float, Reply]] = field(default_factory=list)


class World:
    """Cabinets, bags and scooters."""

    def __init__(self, clock: Clock, network: Network, plan: Plan) -> None:
        self.clock, self.network = clock, network
        self.firmware = Firmware(honours_ttl=plan.honours_ttl)
        self.rng = random.Random(plan.seed)  # noqa: S311 - a simulation
        self.units: dict[str, Unit] = {}
        self.bags: dict[str, list[Accumulator]] = {}
        self.scooters: dict[str, list[Accumulator]] = {}
        self.open_by: dict[Spot, Opening] = {}
        self.executed: dict[str, set[int]] = {}
        """Cells that a command really opened, or found open."""
        self.opened_at: dict[Spot, int] = {}
        """How often a door has opened, for whatever reason."""
        self.left: dict[tuple[str, Spot], str | None] = {}
        """What was in a cell when the door that a command had opened was closed."""
        self.broken: set[Spot] = set()
        """Cells whose doors somebody has ever broken open."""
        self.liars: set[Spot] = set()
        """Cells of which a cabinet has said, or may yet say, what is not true."""
        self.claims: dict[str, str | None] = {}
        """Accumulators outside cells: where the service should think they are, if it can know."""
        self.unsure: set[str] = set()
        """Accumulators swapped while cabinets' words about them were still on their way."""
        self.twins: set[str] = set()
        """Ids that two accumulators have."""
        self.put_at: dict[str, int] = {}
        """At which opening of its cell an accumulator was put into it."""
        self.taken: set[tuple[str, str, int]] = set()
        """What has ever been taken out of which cell."""
        self.carried_off: set[str] = set()
        """What ever left a cell that no command had opened, or that it had come into meanwhile."""
        self.said: dict[tuple[str, str, int], Message] = {}
        """Every message of every cabinet, by cabinet, boot_id and seq."""

    def add_cabinet(self, cabinet_id: str, cells: list[Cell]) -> None:
        """Put up a cabinet that is connected."""
        self.network.lines[cabinet_id] = Line()
        hardware = Hardware(cabinet_id, cells, now=self.clock.now, rng=self.rng)
        hardware.firmware = self.firmware
        self.units[cabinet_id] = Unit(hardware)

    # --- commands -----------------------------------------------------------------------------

    def obey(self, cabinet_id: str) -> str | None:
        """The cabinet reads its next command, and answers; which command it was."""
        unit, line = self.units[cabinet_id], self.network.lines[cabinet_id]
        if not line.commands or not unit.powered:
            return None
        publication = line.commands.popleft()
        command = publication.command
        before = set(self.open_spots(cabinet_id))
        replies = unit.hardware.handle(command, broadcast=publication.device_id is None)
        now = set(self.open_spots(cabinet_id))
        if command["kind"] == "unlock":
            asked = now & set(command["cells"])
            self.executed.setdefault(command["command_id"], set()).update(asked | (now - before))
            for number in asked & before:  # whose door it is now, nobody can say
                self.open_by[cabinet_id, number] = Opening(None)
                self.opened_at[cabinet_id, number] = self.opened_at.get((cabinet_id, number), 0) + 1
        for number in now - before:
            self._opened((cabinet_id, number), command["command_id"])
        self._answer(cabinet_id, replies)
        self.tell(cabinet_id)
        return f"{command['kind']} {command.get('cells', '')} {command['command_id']}"

    def _answer(self, cabinet_id: str, replies: list[Reply]) -> None:
        unit = self.units[cabinet_id]
        for reply in replies:
            if reply.after_s > 0:
                due = self.clock.now().timestamp() + reply.after_s
                unit.later.append((due, reply))
            elif unit.mute:
                reply.make()
            else:
                message = reply.make()
                self.said[cabinet_id, message["boot_id"], message["seq"]] = message
                payload = json.dumps(message).encode()
                for _ in range(2 if unit.twice else 1):
                    if unit.holding:
                        unit.held.append(payload)
                    else:
                        self.network.say(cabinet_id, payload)

    def pass_time(self) -> None:
        """Give the answers that are due."""
        now = self.clock.now().timestamp()
        for cabinet_id, unit in self.units.items():
            due = [reply for at, reply in unit.later if at <= now]
            unit.later = [(at, r) for at, r in unit.later if at > now]
            for reply in due if unit.powered else []:
                self.say(cabinet_id, reply.make())

    def _lose_words(self) -> None:
        """A cabinet has forgotten what it had not sent: who took what may never be known."""
        self.claims.update(dict.fromkeys(self.claims))
        self.unsure |= self.claims.keys()

    # --- what cabinets say --------------------------------------------------------------------

    def say(self, cabinet_id: str, *messages: Message) -> None:
        """Send messages as they are."""
        for message in messages:
            self.said[cabinet_id, message["boot_id"], message["seq"]] = message
            self.network.say(cabinet_id, json.dumps(message).encode())

    def tell(self, cabinet_id: str) -> None:
        """Send what the sensors notice."""
        unit = self.units[cabinet_id]
        if unit.powered:
            self.say(cabinet_id, *unit.hardware.noticed())
        elif unit.hardware.noticed():
            self._lose_words()

    def act(self, cabinet_id: str, action: Callable[[Hardware], object]) -> None:
        """Do something to a cabinet by hand."""
        action(self.units[cabinet_id].hardware)
        self.tell(cabinet_id)

    def power_up(self, cabinet_id: str, *, keep_outbox: bool) -> None:
        """Begin a new generation; what was not sent yet may be lost."""
        unit, line = self.units[cabinet_id], self.network.lines[cabinet_id]
        self.network.cut(cabinet_id)
        if not keep_outbox:
            if line.outbox or unit.held:
                self._lose_words()
            line.outbox.clear()
            unit.held.clear()
        unit.later.clear()
        unit.powered, line.connected = True, True
        unit.hardware.reboot()
        self.network.send(cabinet_id)
        self.say(cabinet_id, unit.hardware.hello(), unit.hardware.state_report())

    def reconnect(self, cabinet_id: str) -> None:
        """Find the network again."""
        line = self.network.lines[cabinet_id]
        if not line.connected and self.units[cabinet_id].powered:
            line.connected = True
            self.network.send(cabinet_id)
            self.say(cabinet_id, self.units[cabinet_id].hardware.state_report())

    def release(self, cabinet_id: str) -> int:
        """Send the answers that were held back."""
        unit = self.units[cabinet_id]
        held, unit.held, unit.holding = unit.held, [], False
        for payload in held:
            self.network.say(cabinet_id, payload)
        return len(held)

    # --- hands --------------------------------------------------------------------------------

    def open_spots(self, cabinet_id: str) -> list[int]:
        """Cells whose doors are open."""
        cells = self.units[cabinet_id].hardware.cells
        return [number for number, cell in cells.items() if cell.door == "open"]

    def pry(self, spot: Spot) -> None:
        """Break a door open."""
        self._opened(spot, None)
        self.broken.add(spot)
        self.act(spot[0], lambda hardware: hardware.pry_open(spot[1]))

    def take(self, spot: Spot, contractor: str) -> Accumulator:
        """Out of an open cell into a bag."""
        taken: list[Accumulator] = []
        self.act(spot[0], lambda hardware: taken.append(hardware.remove(spot[1])))
        self.bags[contractor].append(taken[0])
        self.taken.add((taken[0].accumulator_id, *spot))
        by_hand = self.open_by.get(spot, Opening(None)).command_id is None
        put_in_before = self.put_at.get(taken[0].accumulator_id) == self.opened_at.get(spot, 0)
        if by_hand or put_in_before:
            self.carried_off.add(taken[0].accumulator_id)
        return taken[0]

    def put(self, spot: Spot, contractor: str, accumulator: Accumulator) -> None:
        """Out of a bag into an open, empty cell."""
        self.bags[contractor].remove(accumulator)
        self.claims.pop(accumulator.accumulator_id, None)
        self.unsure.discard(accumulator.accumulator_id)
        self.put_at[accumulator.accumulator_id] = self.opened_at.get(spot, 0)
        self.act(spot[0], lambda hardware: hardware.insert(spot[1], accumulator))

    def close(self, spot: Spot) -> None:
        """Push a door shut."""
        opening = self.open_by.pop(spot, None)
        if opening is not None and opening.command_id is not None:
            self.left[opening.command_id, spot] = self.content(spot)
        self.act(spot[0], lambda hardware: hardware.close_door(spot[1]))

    def places(self) -> dict[str, str]:
        """Where each accumulator really is: `C-1/3`, `T-1` or `S-1`; of twins, one of them."""
        return {id_: places[-1] for id_, places in self.everywhere().items()}

    def everywhere(self) -> dict[str, list[str]]:
        """Each id, and all places where something with that id really is."""
        found: dict[str, list[str]] = {}
        for cabinet_id, unit in self.units.items():
            for number, cell in unit.hardware.cells.items():
                if cell.accumulator:
                    id_ = cell.accumulator.accumulator_id
                    found.setdefault(id_, []).append(f"{cabinet_id}/{number}")
        for holders in (self.bags, self.scooters):
            for holder, accumulators in holders.items():
                for one in accumulators:
                    found.setdefault(one.accumulator_id, []).append(holder)
        return found

    def content(self, spot: Spot) -> str | None:
        """What is really in a cell."""
        accumulator = self.units[spot[0]].hardware.cells[spot[1]].accumulator
        return accumulator.accumulator_id if accumulator else None

    def _opened(self, spot: Spot, command_id: str | None) -> None:
        self.open_by[spot] = Opening(command_id)
        self.opened_at[spot] = self.opened_at.get(spot, 0) + 1
