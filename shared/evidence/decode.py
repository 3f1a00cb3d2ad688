"""Step 1: decode raw messages. What is not understood is kept as an anomaly and changes nothing."""

import base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID

from shared.db import Row, Tx
from shared.evidence.unit_of_work import UnitOfWork
from shared.messages import AnyMessage, CellEvent, CommandResult, RawMessage, StateReport
from shared.protocols import Undecodable, codecs
from shared.repo import cabinets


class ReceivedMessage(NamedTuple):
    """A decoded message and the cabinet that sent it."""

    raw: RawMessage
    cabinet_id: str
    content: AnyMessage

    @property
    def command_id(self) -> UUID | None:
        """The command that the message says it answers, if that is an id."""
        return command_id_of(self.content)

    def accumulator_ids(self) -> Iterator[str]:
        """Yield the accumulators that the message names."""
        match self.content:
            case CommandResult() | StateReport():
                cells = [*self.content.cells]
            case CellEvent():
                cells = [self.content.cell]
            case _:
                return
        for cell in cells:
            if cell.accumulator_id is not None and cell.accumulator_id != "?":
                yield cell.accumulator_id


def decode(tx: Tx, uow: UnitOfWork, messages: Sequence[RawMessage]) -> Iterator[ReceivedMessage]:
    """Yield the messages that can be decoded, in order.

    Add an anomaly for each of the others, and for each value that was not understood.
    """
    devices = {
        row["device_id"]: row
        for row in cabinets.of_devices(tx, {message.device_id for message in messages})
    }
    for message in messages:
        device = devices.get(message.device_id)
        uow.start_message(anomaly_source(message, device["cabinet_id"] if device else None))
        if device is None:
            uow.add_anomaly("unknown_device", message.device_id)
            continue
        codec = codecs().get(device["protocol"])
        if codec is None:
            uow.add_anomaly("unknown_protocol", device["protocol"])
            continue
        try:
            decoded = codec.decode(message.payload)
        except Undecodable as error:
            uow.add_anomaly("malformed", str(error))
            continue
        for value in decoded.unreadable:
            uow.add_anomaly("unreadable_value", str(value))
        yield ReceivedMessage(message, device["cabinet_id"], decoded.message)


def anomaly_source(message: RawMessage, cabinet_id: str | None) -> Row:
    """Return what an anomaly stores of the message that caused it."""
    return {
        "event_id": message.event_id,
        "device_id": message.device_id,
        "cabinet_id": cabinet_id,
        "payload": base64.b64encode(message.payload).decode(),
    }


def command_id_of(content: AnyMessage) -> UUID | None:
    """Return the command that a message says it answers; None if it names none or no id."""
    if isinstance(content, CommandResult | StateReport) and content.command_id:
        with suppress(ValueError):
            return UUID(content.command_id)
    return None
