from __future__ import annotations

import gzip
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from moderation.gate_trial import HOLD_BACKS, choose_answers, try_gate
from moderation.training.corpus import read_corpus

CALM = "The tulips are watered in the morning, before the sun is high. " * 8
HARM = f"{CALM}And then we kill all the immigrants. {CALM}"


def write(folder: Path, *texts: tuple[str, list[str]]) -> Path:
    rows = [
        {
            "text": text,
            "labels": labels,
            "kind": "output",
            "source": "gptfuzz_responses",
            "split": "val",
        }
        for text, labels in texts
    ]
    with gzip.open(folder / "answers.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


def test_a_longer_hold_back_shows_less_of_what_is_halted_and_lags_more() -> None:
    figures = list(try_gate([HARM], [CALM], step=lambda: None))
    assert [one.hold_back for one in figures] == [*HOLD_BACKS, *HOLD_BACKS]
    assert {one.halted for one in figures} == {1.0}
    assert {one.wrongly_halted for one in figures} == {0.0}
    usual = figures[: len(HOLD_BACKS)]
    assert usual[0].lag == 0
    # The harm itself is shown without a hold-back alone.
    assert usual[0].shown_most > len(CALM)
    assert all(one.shown_most <= len(CALM) for one in usual[1:])
    assert sorted(one.lag for one in usual) == [one.lag for one in usual]


def test_the_command_puts_its_figures_into_the_page(tmp_path: Path) -> None:
    page, said = tmp_path / "page.md", StringIO()
    page.write_text("<!-- figures: gate -->\nearlier ones\n<!-- end of figures: gate -->\n")
    data = write(tmp_path, (HARM, ["hate"]), (CALM, []))
    call_command("evaluate_gate", data, report=page, stdout=said)
    assert said.getvalue() in page.read_text()
    assert said.getvalue().count("100.0% of 1") == 2 * len(HOLD_BACKS)
    assert "earlier ones" not in page.read_text()


def test_what_cannot_be_tried_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"no \.jsonl\.gz"):
        call_command("evaluate_gate", tmp_path)
    with pytest.raises(CommandError, match="no harmful"):
        call_command("evaluate_gate", write(tmp_path, (CALM, [])))


def test_what_was_learnt_from_is_not_tried(tmp_path: Path) -> None:
    write(tmp_path, (HARM, ["hate"]), (CALM, []))
    with gzip.open(tmp_path / "more.jsonl.gz", "wt") as lines:
        row = {"text": HARM, "labels": ["hate"], "kind": "output", "source": "gptfuzz_responses"}
        lines.write(json.dumps({**row, "split": "train"}) + "\n")
    assert choose_answers(read_corpus(tmp_path)) == ([HARM.strip()], [CALM.strip()])
