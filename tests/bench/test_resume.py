from __future__ import annotations

import pytest

from tests.bench.report import Spread
from tests.bench.resume_cost import Cost, CostRow, cost_table, long_tokens, scripts
from tests.bench.storm import Storm, StormRow, expected_text, storm_table


def cost(*, p50_ms: float = 10, cpu_ms: float = 4, deltas: int = 10) -> Cost:
    return Cost(
        deltas=deltas,
        resumes=100,
        latency_ms=Spread(p50_ms, 2 * p50_ms, 3 * p50_ms),
        cpu_ms=cpu_ms,
        stores_cpu_ms=1,
    )


def storm_row(*, p95_ms: float = 300, without: int = 0, complete: int = 250) -> StormRow:
    verdicts = {"complete": complete, "lost": 250 - complete, "duplicated": 0, "failed": 0}
    return StormRow("sse", 250, Spread(100, p95_ms, 900), without, verdicts, ())


@pytest.mark.parametrize(
    ("late", "words"),
    [
        (cost(p50_ms=14, cpu_ms=5, deltas=10_000), []),
        (cost(p50_ms=16, deltas=10_000), ["1.60 times the latency"]),
        (cost(cpu_ms=7, deltas=10_000), ["1.75 times the CPU"]),
    ],
)
def test_a_late_resume_may_cost_as_much_as_an_early_one(late: Cost, words: list[str]) -> None:
    broken = CostRow("sse", cost(), late).broken_promises()
    assert len(broken) == len(words)
    for sentence, word in zip(broken, words, strict=True):
        assert word in sentence


def test_the_long_answer_has_more_deltas_than_are_asked_for() -> None:
    assert long_tokens(10_000) > 10_010
    (script,) = scripts(10_000)["long"]
    assert script["hold_after"] == script["tokens"] == long_tokens(10_000)


@pytest.mark.parametrize(
    ("storm", "count"),
    [
        (Storm([storm_row()], 0), 0),
        (Storm([storm_row()], 3), 1),
        (Storm([storm_row()], 3, ended=1), 1),
        (Storm([storm_row(p95_ms=1001)], 0), 1),
        (Storm([storm_row(without=1)], 0), 1),
        (Storm([storm_row(complete=249)], 0), 1),
    ],
)
def test_a_storm_is_over_within_a_second_and_loses_nobody(storm: Storm, count: int) -> None:
    assert len(storm.broken_promises()) == count


def test_tables_have_a_line_for_each_row() -> None:
    assert cost_table([CostRow("sse", cost(), cost())]).count("\n") == 3
    assert "250 / 0 / 0 / 0" in storm_table(Storm([storm_row()], 0))


def test_answers_outlast_the_storm_that_more_readers_take_longer_to_gather_for() -> None:
    assert len(expected_text(500)) > len(expected_text(50)) > 0
