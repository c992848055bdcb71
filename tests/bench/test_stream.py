from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.bench.plot import share_chart
from tests.bench.report import Row, Spread, as_table, percentile
from tests.bench.stream import Load, run_benchmark


@pytest.fixture(scope="module")
def load() -> Load:
    return Load(
        first_token_ms=60,
        token_ms=10,
        tokens=5,
        streams=(1, 2),
        rounds=2,
        doors=("sse", "websocket"),
    )


@pytest.fixture(scope="module")
def rows(load: Load) -> list[Row]:
    return run_benchmark(load, advance=lambda: None)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_answer_arrives_whole(rows: list[Row]) -> None:
    assert [(row.door, row.streams) for row in rows] == [
        ("sse", 1),
        ("sse", 2),
        ("websocket", 1),
        ("websocket", 2),
    ]
    for row in rows:
        assert row.messages == row.streams * 2
        assert row.complete == row.messages


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_figures_agree_with_each_other(rows: list[Row], load: Load) -> None:
    for row in rows:
        assert len(row.overheads_ms) == row.messages
        assert row.provider_ms.p50 >= load.first_token_ms - 1
        assert row.overhead_ms.max == max(row.overheads_ms)
        assert 0 < row.first_event_ms.p50 < row.provider_ms.p50 + row.overhead_ms.max
        assert row.total_ms.p50 >= load.first_token_ms + (load.tokens - 1) * load.token_ms - 1
        for spread in (row.provider_ms, row.first_event_ms, row.gap_ms, row.total_ms):
            assert 0 <= spread.p50 <= spread.p95 <= spread.max


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_rows_can_be_shown(rows: list[Row]) -> None:
    assert as_table(rows).count("\n") == len(rows) + 1
    chart = ET.fromstring(share_chart([curve for row in rows for curve in row.curves()]))  # noqa: S314 - our own words
    assert len(chart.findall("{http://www.w3.org/2000/svg}polyline")) == len(rows)


@pytest.mark.parametrize(
    ("share", "expected"), [(0, 1), (0.5, 3), (0.95, 4.8), (1, 5), (0.25, 2), (0.125, 1.5)]
)
def test_percentiles_lie_between_neighbours(share: float, expected: float) -> None:
    assert percentile([5, 1, 4, 2, 3], share) == pytest.approx(expected)
    assert Spread.of([7]) == Spread(7, 7, 7)
