from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.bench.comparing import run_comparison
from tests.bench.comparison import Comparison, Side, as_tables, peak_streams
from tests.bench.load_client import Answer, Job
from tests.bench.load_process import share_out
from tests.bench.plot import share_chart
from tests.bench.stream import Load
from tests.bench.timing import Timing
from tests.bench.verdicts import Verdict, judge

TEXT = "word0 word1 word2 "


def answer(
    *, first_s: float = 0.31, at: float = 0.0, verdict: Verdict = Verdict.COMPLETE
) -> Answer:
    return Answer(
        asked_at=at, ended_at=at + 2, direct_s=0.3, first_s=first_s, verdict=verdict, detail=""
    )


def comparison(
    *,
    streams: int = 200,
    product_ms: float = 10,
    relay_ms: float = 5,
    web_s: float = 1.0,
    verdict: Verdict = Verdict.COMPLETE,
) -> Comparison:
    answers = [answer(first_s=0.3 + product_ms / 1000) for _ in range(9)]
    answers.append(answer(first_s=0.3 + product_ms / 1000, verdict=verdict))
    cpu_s = {"web": web_s, "worker": 1.0, "postgres": 0.5, "valkey": 0.5}
    relays = [answer(first_s=0.3 + relay_ms / 1000) for _ in range(10)]
    return Comparison(
        door="sse",
        streams=streams,
        relay=Side.of(relays, {"relay": 1.0}, tokens=100),
        product=Side.of(answers, cpu_s, tokens=100),
    )


@pytest.mark.parametrize(
    ("text", "end", "verdict"),
    [
        (TEXT, "done", Verdict.COMPLETE),
        (TEXT, "failed", Verdict.FAILED),
        (TEXT, "", Verdict.FAILED),
        ("word0 word2 ", "done", Verdict.LOST),
        ("word0 word1 word1 word2 ", "done", Verdict.DUPLICATED),
        ("word1 word0 word2 ", "done", Verdict.FAILED),
        ("word0 word0 word2 ", "done", Verdict.LOST),
    ],
)
def test_an_answer_is_judged_by_its_words(text: str, end: str, verdict: Verdict) -> None:
    assert judge(Timing(text=text, end=end), TEXT) is verdict


def test_cpu_is_counted_per_thousand_tokens_that_arrived() -> None:
    side = Side.of([answer() for _ in range(20)], {"web": 3.0, "worker": 1.0}, tokens=100)
    assert side.cpu_s == {"web": 1.5, "worker": 0.5}
    assert side.complete == side.answers == 20


def test_overhead_is_what_comes_on_top_of_the_provider() -> None:
    side = Side.of([answer(first_s=0.35), answer(first_s=0.40)], {}, tokens=100)
    assert side.overheads_ms == pytest.approx((50, 100))
    assert side.overhead_ms.p50 == pytest.approx(75)


def test_an_answer_without_a_token_has_no_overhead_and_is_counted() -> None:
    failed = answer(first_s=0.0, verdict=Verdict.FAILED)
    side = Side.of([answer(), failed], {}, tokens=100)
    assert len(side.overheads_ms) == 1
    assert side.verdicts == {"complete": 1, "lost": 0, "duplicated": 0, "failed": 1}


def test_streams_at_once_are_counted_from_asking_to_the_end() -> None:
    assert peak_streams([answer(at=0), answer(at=1), answer(at=1.5), answer(at=3.5)]) == 3
    # One that begins as another ends is not beside it.
    assert peak_streams([answer(at=0), answer(at=2)]) == 1


def test_ratios_leave_out_and_take_in_the_stores() -> None:
    row = comparison(web_s=1.5)
    assert row.ratio == pytest.approx(2.5)
    assert row.ratio_with_stores == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (comparison(web_s=1.5), []),
        (comparison(web_s=1.6), ["2.60 times the relay's CPU"]),
        (comparison(streams=500, web_s=9, product_ms=900), []),
        (comparison(product_ms=151), ["p95 151 ms"]),
        (comparison(streams=50, product_ms=29), []),
        (comparison(streams=50, product_ms=31), ["more than 25 ms over the relay's 5 ms"]),
        (comparison(streams=500, verdict=Verdict.LOST), ["9 / 1 / 0 / 0"]),
        (comparison(streams=500, verdict=Verdict.FAILED), ["9 / 0 / 0 / 1"]),
    ],
)
def test_each_promise_is_checked_where_it_was_made(row: Comparison, words: list[str]) -> None:
    broken = row.broken_promises()
    assert len(broken) == len(words)
    for sentence, word in zip(broken, words, strict=True):
        assert word in sentence


def test_clients_share_the_streams_without_a_gap() -> None:
    job = Job("sse", "", "", [str(n) for n in range(7)], [float(n) for n in range(7)], 1, TEXT)
    parts = share_out(job, per_client=3)
    assert [part.tokens for part in parts] == [["0", "3", "6"], ["1", "4"], ["2", "5"]]
    assert [part.starts_s for part in parts] == [[0, 3, 6], [1, 4], [2, 5]]


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_product_and_the_relay_are_measured_side_by_side() -> None:
    load = Load(
        first_token_ms=60, token_ms=10, tokens=5, streams=(2,), rounds=1, doors=("sse", "websocket")
    )
    rows = run_comparison(load, repeats=1, advance=lambda: None)
    assert [(row.door, row.streams) for row in rows] == [("sse", 2), ("websocket", 2)]
    for row in rows:
        assert row.relay.complete == row.relay.answers == 2
        assert row.product.complete == row.product.answers == 2
        assert row.product.overhead_ms.p50 > 0
    assert as_tables(rows).count("\n| ") == 2 * (len(rows) + 2)
    chart = ET.fromstring(share_chart([curve for row in rows for curve in row.curves()]))  # noqa: S314 - our own words
    assert len(chart.findall("{http://www.w3.org/2000/svg}polyline")) == 2 * len(rows)
