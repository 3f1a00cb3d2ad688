"""Messages from cabinets, decoded: typed, strict, frozen, independent of the make of cabinet.

Source of the fields and their limits: docs/protocol.md, "Cabinet → service". What devices really
send is read by `shared/protocols`.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.values import CellNumber, Charge, Id, is_empty_reading


class RawMessage(NamedTuple):
    """A message as it was received: not decoded yet."""

    event_id: str
    device_id: str
    payload: bytes
    received_at: datetime | None = None
    """When it was received from the broker, by the bridge's clock."""


ShortText = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]

Door = Literal["open", "closed", "unknown"]


def _check_id(accumulator_id: str) -> str:
    if accumulator_id != accumulator_id.upper() or is_empty_reading(accumulator_id):
        raise ValueError("an accumulator's id is in upper case, and not only zeros or Fs")
    return accumulator_id


ReportedId = Annotated[Id, AfterValidator(_check_id)] | Literal["?"] | None
"""An accumulator's id; None: all sensors report an empty cell; "?": it cannot be read."""


def _check_cells(cells: list[Any]) -> list[Any]:
    if len({cell.cell_number for cell in cells}) != len(cells):
        raise ValueError("a cell is named twice")
    return cells


Cells = AfterValidator(_check_cells)


class MessagePart(BaseModel):
    """Base of messages and their parts: unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class CellState(MessagePart):
    """One cell as its sensors see it."""

    cell_number: CellNumber
    door: Door
    accumulator_id: ReportedId
    battery_charge: Charge | None = None
    state_of_health: Charge | None = None
    charging: bool | None = None
    temperature_c: float | None = Field(None, ge=-60, le=150)
    fault: ShortText | None = None


class CommandCell(MessagePart):
    """What a command did to one cell."""

    cell_number: CellNumber
    result: ShortText = Field(
        description="opened, locked, or a failure: jammed, not_detected, empty, occupied, faulty,"
        " disabled, unknown_cell; any other word counts as a failure"
    )
    accumulator_id: ReportedId = None
    battery_charge: Charge | None = None


class Message(MessagePart):
    """Fields of every message."""

    v: Literal[1]
    boot_id: ShortText
    sent_at: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="By the device's clock; for information only"
    )


class NumberedMessage(Message):
    """Fields of every message but the last will. `(boot_id, seq)` orders a cabinet's messages."""

    seq: Annotated[int, Field(ge=0, lt=2**63)]


class CommandResult(NumberedMessage):
    """The answer to a command."""

    type: Literal["command_result"]
    command_id: ShortText
    status: Literal["done", "rejected", "expired"]
    reason: ShortText | None = Field(
        None,
        description="Of a rejection: busy, maintenance, updating, alarm, unknown_command, invalid",
    )
    cells: Annotated[list[CommandCell], Cells] = Field([], max_length=1000)


class StateReport(NumberedMessage):
    """The complete state: on request, after start-up, and at least every 10 minutes."""

    type: Literal["state_report"]
    command_id: ShortText | None = Field(None, description="The command that it answers")
    alarms: list[ShortText] = Field([], max_length=100)
    cells: Annotated[list[CellState], Cells] = Field(max_length=1000)


class CellEvent(NumberedMessage):
    """One cell changed: its door, or an accumulator in or out."""

    type: Literal["cell_event"]
    cell: CellState


class Hello(NumberedMessage):
    """Sent at power-up, and at each connection if the cabinet likes; a state_report follows."""

    type: Literal["hello"]
    firmware: ShortText | None = None
    cells_total: Annotated[int, Field(ge=0, le=100_000)] | None = None
    session: ShortText | None = Field(None, description="Names this connection; see goodbye")


class Goodbye(Message):
    """The MQTT last will: the connection of this session is lost."""

    type: Literal["goodbye"]
    session: ShortText | None = Field(None, description="That of the connection's hello")


AnyMessage = Annotated[
    CommandResult | StateReport | CellEvent | Hello | Goodbye, Field(discriminator="type")
]
