"""What all functions share.

A cold start makes some fifty thousand objects that stay. To look through them for garbage after
every 700 new ones, as Python does, would take a twelfth of it: docs/performance.md.
"""

import gc

gc.set_threshold(100_000)
