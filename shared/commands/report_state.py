"""Report state: ask for a complete state report."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.commands import Command


class ReportState(Command):
    """Ask for a complete state report, at once or after a random delay."""

    kind: Literal["report_state"] = "report_state"
    spread_s: int = Field(
        0,
        ge=0,
        le=600,
        description="Longest delay of the report, seconds; the cabinet picks one at random",
    )
    answered_by_report: ClassVar[bool] = True
