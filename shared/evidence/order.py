"""Step 3: place a message in its cabinet's order, even if the cabinet's numbering is broken.

Rules: docs/how-it-works.md, "Evidence". Nothing here reads or writes the database.
"""

from datetime import datetime
from typing import NamedTuple

from shared.evidence.records import Cabinet, Position
from shared.evidence.unit_of_work import UnitOfWork
from shared.messages import NumberedMessage

MAX_DELAY = 10_000
"""Upper limit of the messages that a cabinet sends while one of its messages is delayed."""


_BEFORE_ALL: Position = (0, 0)
"""Before the first boot."""


class Place(NamedTuple):
    """A message's place in its cabinet's order."""

    position: Position
    is_current: bool
    """The message belongs to the cabinet's current boot, and its number can be trusted."""


def place(
    uow: UnitOfWork, cabinet: Cabinet, message: NumberedMessage, *, asked_at: datetime | None
) -> Place:
    """Return the place of a message, and start a new boot if the message shows one.

    `asked_at`: when the command that this message answers was created. A boot becomes the current
    one when its first message arrives, or when an earlier boot answers a command that was created
    after the current boot was first seen. Of a device with so many boots that old ones are not
    kept, an unknown boot may be one of these: it becomes the current one by such an answer only,
    which the poll asks for every minute.

    A message that answers a command created after the newest applied message was received is newer
    than that message. If its number is not higher, the cabinet's numbering has restarted. From then
    on, numbers of this boot near or above those used before the restart prove nothing, since a
    message from before the restart may still be delayed.
    """
    boot_id, seq = message.boot_id, message.seq
    known = cabinet.boots.get(boot_id)
    is_newest = _is_after(asked_at, cabinet.applied_at)
    is_proved = _is_after(asked_at, cabinet.booted_at)
    if known is None and not is_proved and uow.has_folded_boots(cabinet):
        return Place(_BEFORE_ALL, is_current=False)
    if known is None or (known < cabinet.boot_no and is_proved):
        uow.start_boot(cabinet, boot_id)
    elif known == cabinet.boot_no and is_newest and (known, seq) <= cabinet.newest_position:
        uow.add_anomaly("numbering_restarted", f"boot {boot_id}")
        last_seq = cabinet.newest_position[1]
        restart_seq = cabinet.restart_seqs.get(boot_id)
        lowest = last_seq if restart_seq is None else min(restart_seq, last_seq)
        uow.start_boot(cabinet, boot_id, restart_seq=lowest)
    boot_no = cabinet.boots[boot_id]
    restart_seq = cabinet.restart_seqs.get(boot_id)
    is_trusted = restart_seq is None or is_newest or seq + MAX_DELAY < restart_seq
    return Place((boot_no, seq), is_current=boot_no == cabinet.boot_no and is_trusted)


def _is_after(asked_at: datetime | None, then: datetime | None) -> bool:
    return asked_at is not None and then is not None and asked_at > then
