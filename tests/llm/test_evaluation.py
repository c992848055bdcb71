"""The labelled prompts, and the figures that are made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm.catalog_file import load_catalog
from llm.evaluation import HELD, TUNING, BadPrompts, Labelled, judge, read_prompts, sum_up
from llm.routing import prefer

CATALOG = load_catalog()
MODELS = prefer(CATALOG.models, CATALOG)


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_the_two_halves_share_nothing_and_have_as_many_of_each_kind():
    tuning, held = read_prompts(TUNING), read_prompts(HELD)
    assert len(tuning) + len(held) >= 300
    assert not {one.text for one in tuning} & {one.text for one in held}
    assert {one.category for one in tuning} == {one.category for one in held}
    for half in (tuning, held):
        assert 0.45 < sum(one.label == "smart" for one in half) / len(half) < 0.55


@pytest.mark.parametrize(("path", "least"), [(TUNING, 0.95), (HELD, 0.9)])
def test_most_prompts_go_where_they_should_and_money_is_saved(path, least):
    figures = sum_up(judge(read_prompts(path), MODELS, plan="free"))
    assert figures.accuracy >= least
    assert figures.saved > 0.2


def test_figures_are_sums_over_what_was_judged():
    prompts = [
        Labelled("hi", "fast", "", ""),
        Labelled("hello", "fast", "", ""),
        Labelled("Prove that it converges.", "smart", "", ""),
        Labelled("thank you", "smart", "", ""),
    ]
    judged = judge(prompts, MODELS, plan="free")
    figures = sum_up(judged)
    assert figures.confusion == {
        ("fast", "fast"): 2,
        ("smart", "smart"): 1,
        ("smart", "fast"): 1,
    }
    assert figures.accuracy == 0.75
    # Some 300 tokens before each, 200 or 900 after, at two and ten dollars a million; a twentieth
    # from the fast model. One that should have been smart was routed there too.
    fast, smart = 300 * 2 + 200 * 10, 300 * 2 + 900 * 10
    assert figures.saved_if_right == pytest.approx(
        0.95 * 2 * fast / (2 * fast + 2 * smart), abs=0.01
    )
    assert figures.saved == pytest.approx(
        figures.saved_if_right + 0.95 * smart / (2 * fast + 2 * smart), abs=0.01
    )
    everyday = sum_up(judged, fast_share=0.9)
    assert everyday.confusion == figures.confusion
    assert everyday.saved_if_right > figures.saved_if_right


def test_without_hosted_models_nothing_is_saved_and_nothing_fails():
    local = [spec for spec in MODELS if spec.is_local]
    figures = sum_up(judge(read_prompts(HELD), local, plan="free"))
    assert figures.saved == figures.saved_if_right == 0


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no prompts"),
        ("{", "needs an object"),
        ("[]\n", "needs an object"),
        ('{"text": "x"}', "needs an object"),
        ('{"text": "x", "label": "slow"}', "label must be one of fast, smart"),
        ('{"text": 1, "label": "fast"}', "label must be"),
    ],
)
def test_a_bad_file_is_one_line_that_says_why(tmp_path, content, complaint):
    path = tmp_path / "prompts.jsonl"
    path.write_text(content)
    with pytest.raises(BadPrompts, match=complaint) as caught:
        read_prompts(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadPrompts, match=r"cannot read .*none"):
        read_prompts(tmp_path / "none")
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(BadPrompts, match="not UTF-8"):
        read_prompts(tmp_path / "latin")
