"""What a long-lived process does about garbage collection once it is ready.

CPython's collector walks every object that it tracks to find cycles, the thousands that modules
are made of included: a pause of 0.2 s in the event loop that all streams share. What is there when
a process is ready stays for good, so it is left out (docs.python.org/3/library/gc.html, `freeze`).
"""

from __future__ import annotations

import gc

# Objects made, less those freed, between two looks at the young ones. The default of 700 has them
# looked at several times for one message.
YOUNG_OBJECTS = 20_000


def leave_out_what_stays() -> None:
    """Exempt everything that exists now from collection. Call it once, when all is imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
