"""What a run of faults did, as a table."""

from __future__ import annotations

from collections import Counter

from tests.faults.rounds import Tally


def as_table(tally: Tally, *, wall_s: float) -> str:
    """Return the figures of a run, in Markdown."""
    ends = ", ".join(f"{count:,} {state}" for state, count in sorted(tally.ends.items()))
    rows = [
        ("schedules", f"{tally.schedules:,} in {tally.rounds:,} rounds"),
        ("answers", f"{tally.answers:,} ({ends})"),
        ("attempts of generations", f"{tally.attempts:,}"),
        ("readers", f"{tally.readers:,}"),
        ("reconnects", f"{tally.connections - tally.readers:,}"),
        ("events seen", f"{tally.events:,}"),
        ("replies tried again", f"{tally.retries:,}"),
        *(
            (f"fault: {kind}", f"{count:,}, of which {tally.struck[kind]:,} met something")
            for kind, count in sorted(tally.faults.items())
        ),
        *(
            (f"descriptors of a {kind} after a round, at most", f"{count:,}")
            for kind, count in sorted(tally.descriptors.items())
        ),
        ("**violations**", f"**{len(tally.violations):,}**"),
        *(
            (f"violation: {promise}", f"{count:,}")
            for promise, count in Counter(one.promise for one in tally.violations).items()
        ),
        ("wall time", f"{wall_s / 60:.1f} min"),
    ]
    lines = [
        "| what | count |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    return "\n".join(lines) + "\n"
