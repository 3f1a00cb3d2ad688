"""The values that every edge validates alike: ids, cell numbers, charges."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An id given from outside: 1 to 64 characters of A-Z a-z 0-9 . _ : -"""


def _no_login_of_ours(device_id: str) -> str:
    if device_id in {"service", "bridge"}:
        raise ValueError("service and bridge are the service's own logins at the broker")
    return device_id


DeviceId = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$"),
    AfterValidator(_no_login_of_ours),
]
"""An MQTT login and a level of topics: an id without colons, and no login of the service's own."""

CellNumber = Annotated[int, Field(ge=1, le=1000, strict=True)]
"""A cell's number, from 1, as it is written on its door."""

CellInPath = Annotated[int, Field(ge=1, le=1000)]
"""The same in a URL, where everything is text."""

Charge = Annotated[int, Field(ge=0, le=100, strict=True)]
"""State of charge, whole percent of usable energy."""


def _own_id(text: object) -> object:
    """What is no UUID names nothing of ours: the nil UUID, which is not found either."""
    try:
        return UUID(str(text))
    except ValueError:
        return UUID(int=0)


OwnId = Annotated[UUID, BeforeValidator(_own_id)]
"""An id that the service has given."""
