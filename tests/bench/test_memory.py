from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.bench.memory import MemoryResult, Sample, key_patterns, memory_table
from tests.bench.plot import line_chart


def sample(answers: int, web_mib: float, *, incomplete: int = 0, logs: int = 0) -> Sample:
    keys = {"log:{*}:*": logs} if logs else {}
    return Sample(answers, incomplete, {"web": web_mib, "worker": 100.0}, keys, 50.0)


def test_growth_is_from_the_first_sample_to_the_last() -> None:
    result = MemoryResult([sample(1000, 100), sample(2000, 150), sample(10_000, 104)])
    assert result.growth("web") == pytest.approx(0.04)
    assert result.growth("worker") == 0
    assert "web +4.0%, worker +0.0%" in memory_table(result)
    assert result.broken_promises() == []


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (sample(10_000, 106), "web grew by 6.0%"),
        (sample(10_000, 90, incomplete=2), "2 answers"),
        (sample(10_000, 100, logs=3), "log:{*}:*"),
    ],
)
def test_growth_losses_and_left_logs_break_the_promise(last: Sample, words: str) -> None:
    (broken,) = MemoryResult([sample(1000, 100), last]).broken_promises()
    assert words in broken


def test_keys_are_told_apart_by_kind_and_not_by_whose_they_are() -> None:
    keys = [
        "log:{01a2109128fe-717e-913d-d5d354a437e7}:01a21091-2b7a-71d0-b43d-2b7b9c176d22",
        "log:{01a21091-28fe-717e-913d-d5d354a437e8}:01a21091-2b7a-71d0-b43d-2b7b9c176d23",
        "readers:01a2109128fe717e913dd5d354a437e7",
        "queue:17",
    ]
    assert key_patterns(keys[1:]) == {"log:{*}:*": 1, "readers:*": 1, "queue:#": 1}
    assert sum(key_patterns(keys).values()) == len(keys)


def test_a_line_is_drawn_for_each_process() -> None:
    curves = [("web", [(1000.0, 100.0), (2000.0, 101.0)]), ("worker", [(1000.0, 90.0)])]
    chart = ET.fromstring(line_chart(curves, along="answers", up="MiB"))  # noqa: S314 - our own
    assert len(chart.findall("{http://www.w3.org/2000/svg}polyline")) == 2
