"""Step 2: lock the cabinets that a batch concerns, in id order, and load them."""

from shared import holds
from shared.db import Tx
from shared.evidence.decode import ReceivedMessage
from shared.evidence.unit_of_work import UnitOfWork
from shared.repo import cabinets


def load(
    tx: Tx, uow: UnitOfWork, messages: list[ReceivedMessage], *, reconcile_seconds: float
) -> None:
    """Lock and load the cabinets that sent messages and those that hold the accumulators named.

    Cabinets whose message could not be decoded are locked too: the anomaly's foreign key takes a
    lock on them, and all locks must be taken in the same order.
    """
    named: dict[str, set[str]] = {}
    for message in messages:
        named.setdefault(message.cabinet_id, set()).update(message.accumulator_ids())
    accumulator_ids = {id_ for ids in named.values() for id_ in ids}
    boot_ids = {message.content.boot_id for message in messages}
    command_ids = {message.command_id for message in messages if message.command_id}
    wanted = {message.cabinet_id for message in messages}
    wanted |= cabinets.of_accumulators(tx, accumulator_ids)
    wanted |= {anomaly["cabinet_id"] for anomaly in uow.anomalies} - {None}
    tx.savepoint()
    while True:
        locked = cabinets.lock(tx, wanted)
        holds.write_expiry(tx, [row["cabinet_id"] for row in locked])
        uow.load(
            locked,
            named=named,
            boot_ids=boot_ids,
            command_ids=command_ids,
            reconcile_seconds=reconcile_seconds,
        )
        missing = uow.cabinets_to_lock(accumulator_ids)
        if not missing:
            break
        # An accumulator entered another cabinet before everything was locked. All cabinets have
        # to be locked in one statement, in order: release the locks and start again with both.
        tx.rollback_to_savepoint()
        wanted |= missing
