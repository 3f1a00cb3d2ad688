"""Values that several layers share: ids, cell numbers, charges, and locations of accumulators."""

import re
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An id given from outside: 1 to 64 characters of A-Z a-z 0-9 . _ : -"""

AccumulatorId = Annotated[Id, AfterValidator(str.upper)]
"""An accumulator's id. It is read in any case; one accumulator has one spelling, upper case."""


DEVICE_ID_SCHEMA: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "pattern": r"^[A-Za-z0-9._-]+$",
    "not": {"enum": ["service", "bridge"]},
}


def is_empty_reading(accumulator_id: str) -> bool:
    """Whether a reader that has read nothing gives this for an id: zeros, `F`s or blanks only."""
    return {char for char in accumulator_id.upper() if char not in " -:._"} in (set(), {"0"}, {"F"})


def _is_not_reserved(device_id: str) -> str:
    if device_id in DEVICE_ID_SCHEMA["not"]["enum"]:
        raise ValueError("service and bridge are the service's own logins at the broker")
    return device_id


DeviceId = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=DEVICE_ID_SCHEMA["pattern"]),
    AfterValidator(_is_not_reserved),
    WithJsonSchema(DEVICE_ID_SCHEMA),
]
"""An MQTT login and topic level: an id without colons, and not a login of the service itself."""

CellNumber = Annotated[int, Field(ge=1, le=1000, strict=True)]
"""A cell's number, from 1, as on its door."""

CellInPath = Annotated[int, Field(ge=1, le=1000)]
"""A cell's number in a URL, where it arrives as text."""

Charge = Annotated[int, Field(ge=0, le=100, strict=True)]
"""State of charge, whole percent of usable energy."""


def _uuid_or_nil(text: object) -> object:
    """Return the UUID in `text`, or the nil UUID, which names nothing: 404 instead of 400."""
    try:
        return UUID(str(text))
    except ValueError:
        return UUID(int=0)


def _number_or_zero(text: object) -> object:
    """Return the number in `text`, or 0, which names nothing: 404 instead of 400."""
    return int(str(text)) if re.fullmatch(r"[0-9]{1,18}", str(text), re.ASCII) else 0


RowId = Annotated[int, BeforeValidator(_number_or_zero)]
"""A number that the database gave, in a URL."""

OwnId = Annotated[UUID, BeforeValidator(_uuid_or_nil)]
"""An id that the service gave."""


class Location(NamedTuple):
    """A place of an accumulator, as database columns; all None: nowhere known."""

    cabinet_id: str | None = None
    cell_number: int | None = None
    contractor_id: str | None = None
    scooter_id: str | None = None


NOWHERE = Location()
