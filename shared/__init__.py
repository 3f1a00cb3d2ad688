"""The code that all functions share.

A cold start creates some fifty thousand objects that stay. By default, Python searches for garbage
after every 700 new ones, which takes a twelfth of the cold start (docs/performance.md).
"""

import gc

gc.set_threshold(100_000)
