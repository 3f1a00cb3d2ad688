"""The body of POST /v1/cabinets/{cabinet_id}/commands: any registered command."""

from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, create_model

from shared.commands import Command, registry
from shared.models.base import Reason
from shared.values import Id

_ADDED = {"reason", "contractor_id"}


class _RequestFields:
    """The fields that a request adds to its command."""

    def command(self: Any) -> Command:
        """Return the command without them."""
        cls = registry()[self.kind]
        return cls.model_validate(self.model_dump(exclude=_ADDED))

    def details(self: Any) -> dict[str, str | None]:
        """Return these fields: why, and perhaps for whom, the command is sent."""
        details: dict[str, str | None] = self.model_dump(include=_ADDED)
        return details


def _request_of(command: type[Command]) -> Any:
    kind: Any = command.model_fields["kind"].annotation
    added: dict[str, Any] = {"reason": (Reason, ...)}
    if command.cell_result == "opened":
        description = "For whom the cells are opened: what leaves them is with this contractor"
        added["contractor_id"] = (Id | None, Field(None, description=description))
    return create_model(
        f"{command.__name__}Request",
        __base__=(_RequestFields, command),
        __doc__=command.__doc__,
        kind=(kind, ...),  # no default: `kind` selects the command
        **added,
    )


CommandRequest: Any = Annotated[
    reduce(or_, [_request_of(command) for command in registry().values()]),
    Field(discriminator="kind"),
]
"""Any registered command, with the reason for sending it."""
