"""The body of POST /v1/cabinets/{cabinet_id}/commands: whatever commands are registered."""

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, create_model

from shared.commands import Command, registry
from shared.models.base import Reason


class _Asked:
    """What a command's request adds to the command."""

    reason: str

    def command(self: Any) -> Command:
        """The command alone."""
        cls = registry()[self.kind]
        return cls.model_validate(self.model_dump(exclude={"reason"}))


def _request_of(command: type[Command]) -> Any:
    kind: Any = command.model_fields["kind"].annotation
    return create_model(
        f"{command.__name__}Request",
        __base__=(_Asked, command),
        __doc__=command.__doc__,
        kind=(kind, ...),  # without the default, since it tells the commands apart
        reason=(Reason, ...),
    )


CommandRequest: Any = Annotated[
    reduce(or_, [_request_of(command) for command in registry().values()]),
    Field(discriminator="kind"),
]
"""Any registered command with the reason why a person sends it."""
