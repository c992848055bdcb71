"""Run drawn rounds of faults against a deployment, and count what was broken.

python -m tests.faults --schedules 10000     a long run; each round has a seed of its own
python -m tests.faults --seed 17             the round of that seed again

Ctrl-C and SIGTERM end it early, in order. The table is printed all the same, and kept in a file.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

from tests.faults.long_run import LongRun
from tests.faults.rounds import ROUND_SCHEDULES
from tests.processes import ROOT

REPORT = ROOT / "var" / "faults.md"
# As a shell has it for a program that a signal ended.
INTERRUPTED = 128 + signal.SIGINT


async def run(long_run: LongRun) -> None:
    """Run until it is over. Raises CancelledError when a signal asks for an end."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    await long_run.run()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000, help="how many, at least")
    parser.add_argument("--seed", type=int, help="only the round of this seed")
    parser.add_argument("--first-seed", type=int, default=int(time.time()))
    parser.add_argument("--size", type=int, default=ROUND_SCHEDULES, help="schedules of a round")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the table is kept")
    args = parser.parse_args()
    if args.seed is not None:
        args.schedules, args.first_seed = args.size, args.seed
    long_run = LongRun(args.schedules, args.first_seed, args.size, args.report)
    is_interrupted = False
    try:
        asyncio.run(run(long_run))
    except asyncio.CancelledError:
        is_interrupted = True
    finally:
        long_run.keep()
        sys.stdout.write(f"\n{long_run.summary()}\nKept in {args.report}.\n")
    if is_interrupted:
        sys.stdout.write("Interrupted.\n")
        return INTERRUPTED
    return 0 if long_run.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
