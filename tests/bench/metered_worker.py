"""A generation worker that counts the processor time its gates take, into a file of eight bytes.

`GATE_METER=FILE python -m tests.bench.metered_worker` takes what `manage.py rungenerations` takes.
What counting takes is counted as the gate's.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import thread_time
from typing import ParamSpec, TypeVar

METER = "GATE_METER"
_SECONDS = struct.Struct("d")

P = ParamSpec("P")
T = TypeVar("T")


def read_meter(place: Path) -> float:
    """Return the seconds that were counted so far."""
    seconds: float = _SECONDS.unpack(place.read_bytes())[0]
    return seconds


class Meter:
    """Counts what calls take on their threads, where another process can read it at any time."""

    def __init__(self, place: Path) -> None:
        place.write_bytes(_SECONDS.pack(0.0))
        with place.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _SECONDS.size)
        self._seconds = 0.0
        # Long answers are judged as a whole on other threads.
        self._lock = Lock()

    def count(self, act: Callable[P, T]) -> Callable[P, T]:
        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            began_s = thread_time()
            try:
                return act(*args, **kwargs)
            finally:
                with self._lock:
                    self._seconds += thread_time() - began_s
                    _SECONDS.pack_into(self._shared, 0, self._seconds)

        return counted


def main() -> None:
    import django

    django.setup()
    # Only now: these read settings.
    from django.core.management import execute_from_command_line

    from moderation import gate

    meter = Meter(Path(os.environ[METER]))
    for name in ("feed", "finish"):
        setattr(gate.OutputGate, name, meter.count(getattr(gate.OutputGate, name)))
    execute_from_command_line(["manage.py", "rungenerations", *sys.argv[1:]])


if __name__ == "__main__":
    main()
