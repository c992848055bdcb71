"""What processes took from the machine, whole families at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import psutil

MIB = 1024 * 1024


def family(pid: int) -> Iterator[psutil.Process]:
    parent = psutil.Process(pid)
    yield parent
    yield from parent.children(recursive=True)


def cpu_s(pid: int) -> float:
    """Return the processor time of a process and its children, of those that ended too."""
    total = 0.0
    for process in family(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            # It ended while we looked; its parent counts it from now on.
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def rss_mib(pid: int) -> float:
    """Return the memory of a process and its children that is in use, pages shared or not."""
    total = 0
    for process in family(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / MIB


class CpuMeter:
    """Reads how much processor time named processes have taken since the last look."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = self._read()

    def lap(self) -> dict[str, float]:
        """Return each process's seconds since the last lap, and begin the next."""
        now = self._read()
        spent = {name: now[name] - self._before[name] for name in now}
        self._before = now
        return spent

    def _read(self) -> dict[str, float]:
        return {name: cpu_s(pid) for name, pid in self._pids.items()}
