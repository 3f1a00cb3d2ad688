"""What a cabinet says, once its bytes are understood: typed, frozen, independent of its make.

Source of the fields and their limits: docs/protocol.md, "Cabinet → service".
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator
from pydantic.json_schema import SkipJsonSchema

from shared.values import CellNumber, Charge, Id

Short = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]

Door = Literal["open", "closed", "unknown"]


class Unusable(BaseModel):
    """A value that a cell reported and that cannot be true: the cell is not believed."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    value: str


def _unusable(value: Any) -> Unusable:
    return Unusable(value=repr(value)[:100])


ReportedId = Annotated[
    Id | Literal["?"] | Annotated[str, AfterValidator(_unusable), SkipJsonSchema()] | None,
    Field(union_mode="left_to_right"),
]
"""An accumulator's id; None: every sensor says empty; "?": something that cannot be read."""

ReportedCharge = (
    Annotated[
        Charge | Annotated[Any, PlainValidator(_unusable), SkipJsonSchema()],
        Field(union_mode="left_to_right"),
    ]
    | None
)
"""Percent; None: unknown. Anything else makes the cell unusable, not the message."""


class Part(BaseModel):
    """What messages and their parts share: unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class CellState(Part):
    """One cell as its sensors see it."""

    cell_number: CellNumber
    door: Door
    accumulator_id: ReportedId
    battery_charge: ReportedCharge = None
    state_of_health: ReportedCharge = None
    charging: bool | None = None
    temperature_c: float | None = None
    fault: Short | None = None

    def doubt(self) -> str | None:
        """Why this cell is not believed, if it is not."""
        for field in ("accumulator_id", "battery_charge"):
            value = getattr(self, field)
            if isinstance(value, Unusable):
                return f"cell {self.cell_number}: {field} is {value.value}"
        return None


class CommandCell(Part):
    """What a command did to one cell."""

    cell_number: CellNumber
    result: Short = Field(
        description="opened, locked, or a failure: jammed, not_detected, empty, occupied, faulty,"
        " disabled, unknown_cell; a word that is not known counts as a failure"
    )
    accumulator_id: ReportedId = None
    battery_charge: ReportedCharge = None


class Message(Part):
    """What every message has. `(boot_id, seq)` orders one cabinet's messages."""

    v: Literal[1]
    boot_id: Short
    seq: Annotated[int, Field(ge=0, lt=2**63)]
    sent_at: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="The device's clock; informative, decides nothing"
    )


class CommandResult(Message):
    """The answer to a command."""

    type: Literal["command_result"]
    command_id: Short
    status: Literal["done", "rejected", "expired"]
    reason: Short | None = Field(
        None,
        description="Of a rejection: busy, maintenance, updating, alarm, unknown_command, invalid",
    )
    cells: list[CommandCell] = Field([], max_length=1000)


class StateReport(Message):
    """The complete state, on request, at start-up and at least every 10 minutes."""

    type: Literal["state_report"]
    command_id: Short | None = Field(None, description="The report_state that asked for it")
    alarms: list[Short] = Field([], max_length=100)
    cells: list[CellState] = Field(max_length=1000)


class CellEvent(Message):
    """One cell changed: its door, or an accumulator in or out."""

    type: Literal["cell_event"]
    cell: CellState


class Hello(Message):
    """Power-up; a state_report follows by itself."""

    type: Literal["hello"]
    firmware: Short | None = None
    cells_total: Annotated[int, Field(ge=0, le=100_000)] | None = None


AnyMessage = Annotated[CommandResult | StateReport | CellEvent | Hello, Field(discriminator="type")]
