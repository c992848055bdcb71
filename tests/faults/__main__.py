"""Run drawn rounds of faults against a deployment, and count what was broken.

python -m tests.faults --schedules 10000     a long run; each round has a seed of its own
python -m tests.faults --seed 17             the round of that seed again
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator

from tqdm import tqdm

from tests.faults.cluster import running_cluster
from tests.faults.plan import draw_round
from tests.faults.report import as_table
from tests.faults.rounds import ROUND_SCHEDULES, Arena, Tally, describe

# After so many bad rounds there is enough to look at.
MAX_BAD_ROUNDS = 10


def seeds(*, seed: int | None, first_seed: int) -> Iterator[int]:
    if seed is not None:
        yield seed
        return
    while True:
        yield first_seed
        first_seed += 1


async def run(args: argparse.Namespace) -> Tally:
    tally = Tally()
    bad_rounds = 0
    wanted = args.size if args.seed is not None else args.schedules
    async with running_cluster() as cluster:
        arena = await Arena.open(cluster, people=args.size)
        try:
            with tqdm(total=wanted, unit="schedule", smoothing=0) as bar:
                for seed in seeds(seed=args.seed, first_seed=args.first_seed):
                    before = len(tally.violations)
                    plan = await asyncio.to_thread(draw_round, seed, size=args.size)
                    answers = await arena.run(plan, tally)
                    found = tally.violations[before:]
                    bar.update(len(plan.schedules))
                    bar.set_postfix(violations=len(tally.violations))
                    if found:
                        bad_rounds += 1
                        bar.write(f"\nmake faults SEED={seed}: {plan.faults}")
                        bar.write(describe(found, answers))
                    if tally.schedules >= wanted or bad_rounds == MAX_BAD_ROUNDS:
                        break
        finally:
            await arena.aclose()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000, help="how many, at least")
    parser.add_argument("--seed", type=int, help="only the round of this seed")
    parser.add_argument("--first-seed", type=int, default=int(time.time()))
    parser.add_argument("--size", type=int, default=ROUND_SCHEDULES, help="schedules of a round")
    args = parser.parse_args()
    start = time.monotonic()
    tally = asyncio.run(run(args))
    sys.stdout.write(as_table(tally, wall_s=time.monotonic() - start))
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
