"""What cabinets' messages mean: a batch of messages in, changes of state out, in one transaction.

    raw messages
      │  decode.py       bytes → typed messages; unreadable ones become anomalies
      ▼
      │  load.py         lock the cabinets concerned, load them into a unit of work
      ▼
      │  order.py        place each message in its cabinet's order
      │  observe.py      record what each message reports about cells, where it is newer
      │  settle.py       settle commands by their results; cell_outcomes.py applies them to cells
      │  infer.py        infer from the cells what unanswered commands did
      │  move.py         move accumulators, update their charge; claims.py limits what a
      │                  cabinet may take from others
      ▼
      │  end_holds.py    end holds that cannot be kept
      ▼
    unit_of_work.py      save: write every change in one pass

`pipeline.py` runs the steps; `records.py` has what they work on. Between loading and saving nothing
reads or writes the database.
"""

from shared.evidence.pipeline import apply_messages
from shared.evidence.records import Limits

__all__ = ["Limits", "apply_messages"]
