"""What the bridge reads from the trigger function's response."""

from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError


class TriggerResponse(BaseModel):
    """The response of `mqtt_trigger`."""

    model_config = ConfigDict(frozen=True)

    settled: list[UUID] = []
    """The commands that the batch settled: somebody may wait for them."""

    @classmethod
    def read(cls, response: Any) -> Self:
        """Read a response. One that cannot be read, of another release, announces nothing."""
        try:
            return cls.model_validate(response)
        except ValidationError:
            return cls()
