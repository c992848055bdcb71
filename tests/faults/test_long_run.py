"""A long run keeps what it found, whatever ends it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.faults.__main__ import INTERRUPTED
from tests.processes import LOOK_EVERY_S, ROOT

MOST_S = 60.0


@contextmanager
def running(report: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.faults", "--schedules", "100000", "--size", "4"]
    command += ["--first-seed", "1", "--report", str(report)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for one in family(process):
                one.kill()
        process.communicate()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    return [*parent.children(recursive=True), parent]


def wait_for(report: Path, holds: Callable[[str], bool]) -> None:
    deadline = time.monotonic() + MOST_S
    while not (report.exists() and holds(report.read_text())):
        assert time.monotonic() < deadline, report.exists() and report.read_text()
        time.sleep(LOOK_EVERY_S)


@pytest.mark.faults
@pytest.mark.timeout(240)
def test_a_run_survives_a_ruined_deployment_and_an_interruption(tmp_path: Path) -> None:
    report = tmp_path / "faults.md"
    with running(report) as process:
        wait_for(report, lambda text: "in 1 rounds" in text)
        for one in family(process):
            if "tests.faults.inspector" in one.cmdline():
                one.kill()
        wait_for(report, lambda text: "violation: a round is lived through | 1" in text)
        wait_for(report, lambda text: "in 2 rounds" in text)
        left = family(process)
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=MOST_S)
        assert not psutil.wait_procs(left, timeout=MOST_S)[1]
    assert process.returncode == INTERRUPTED
    assert "of 100,000 schedules, from seed 1" in shown
    assert "make faults SEED=" in shown
    assert "Traceback" in report.read_text()
