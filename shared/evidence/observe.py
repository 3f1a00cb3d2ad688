"""Step 4: record what a message reports about cells, unless newer evidence is already stored."""

from collections.abc import Collection
from typing import NamedTuple

from shared.evidence.records import Cabinet, Cell, Position
from shared.evidence.unit_of_work import UnitOfWork
from shared.messages import CellState

MAX_TEMPERATURE_C = 60
"""A hotter cell is not used: accumulators are charged at 0 to 55 °C."""


class Observation(NamedTuple):
    """A cell and what one message newly reports about it."""

    cell: Cell
    state: CellState
    is_new: bool
    """The cell reports another accumulator than before."""
    has_opened: bool
    """Its door was closed, and is open."""


def record_observations(
    uow: UnitOfWork,
    cabinet: Cabinet,
    reported: list[CellState],
    *,
    position: Position,
    is_report: bool,
) -> list[Observation]:
    """Record what a message reports about cells; return what was newer than the stored evidence.

    `is_report`: the message is a state report, whose position the cabinet stores once for all
    cells, so that a cell which it does not change needs no write. Cells that the cabinet does not
    have become an anomaly.
    """
    observations: list[Observation] = []
    unknown: list[int] = []
    for state in reported:
        cell = cabinet.cells.get(state.cell_number)
        if cell is None:
            unknown.append(state.cell_number)
            continue
        if position <= cabinet.position(cell):
            continue
        has_opened = state.door == "open" and cell.door == "closed"
        if has_opened and not uow.may_have_been_opened(cell):
            uow.add_anomaly("opened_without_command", f"cell {cell.cell_number}")
        before = cell.reported_id
        _update_cell(uow, cell, state)
        _store_position(cell, position, is_report=is_report)
        is_new = cell.reported_id != before
        observations.append(Observation(cell, state, is_new=is_new, has_opened=has_opened))
    if unknown:
        detail = f"{cabinet.cells_total} registered; reported: cell {max(unknown)}"
        uow.add_anomaly("cells_total_differs", detail)
    return observations


def mark_unreported_cells(
    cabinet: Cabinet, reported: Collection[int], *, position: Position
) -> None:
    """Mark the cells that a state report leaves out as unknown: unknown is not empty."""
    for number in cabinet.cells.keys() - set(reported):
        cell = cabinet.cells[number]
        if position > cabinet.position(cell):
            cell.set(door="unknown", content="unknown", reported_id=None, held_back=False)
            _store_position(cell, position, is_report=True)


def _store_position(cell: Cell, position: Position, *, is_report: bool) -> None:
    if is_report:
        cell.boot_no, cell.seq = position  # the cabinet stores it: no write for the cell
    else:
        cell.set(boot_no=position[0], seq=position[1])


def _update_cell(uow: UnitOfWork, cell: Cell, state: CellState) -> None:
    reported_id = state.accumulator_id
    too_hot = state.temperature_c is not None and state.temperature_c > MAX_TEMPERATURE_C
    cell.set(door=state.door, fault=state.fault or ("over_temperature" if too_hot else None))
    if reported_id and _is_being_collected(uow, cell, reported_id):
        return
    if reported_id is None:
        cell.set(content="empty", reported_id=None)
    elif reported_id == "?":
        cell.set(content="unidentified", reported_id=None)
    else:
        cell.set(content="occupied", reported_id=reported_id)


def _is_being_collected(uow: UnitOfWork, cell: Cell, accumulator_id: str) -> bool:
    """Whether the accumulator was issued from this open cell and is about to be taken out.

    It may be out already: the message may be older than a swap, or a return elsewhere, that the
    service knows of.
    """
    if cell.door != "open" or cell.content != "unknown" or cell.opened_by is None:
        return False
    accumulator, booking = uow.accumulators.get(accumulator_id), uow.booking_that_opened(cell)
    if accumulator is not None and accumulator.issued_by == cell.opened_by:
        return True
    hold = booking.holds.get(cell.cell_number) if booking is not None else None
    return hold is not None and hold.state == "opened" and hold.accumulator_id == accumulator_id
