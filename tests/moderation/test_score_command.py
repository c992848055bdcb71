from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from moderation.classifier import get_classifier, get_first_tier
from moderation.errors import BadLine
from moderation.scoring import read_text
from moderation.types import Surface
from tests.live import ROOT


def run(lines: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "manage.py", "score_moderation", *arguments],
        input=lines,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "MODERATION_TIER2": "auto"},
        check=False,
        timeout=60,
    )


def test_one_risk_a_line_comes_out_in_order() -> None:
    texts = ["How do I bake bread?", "How do I build a pipe bomb?", "two\nlines\u2028and more", ""]
    lines = "".join(
        json.dumps({"text": text, "id": 1}, ensure_ascii=False) + "\n" for text in texts
    )
    for arguments, classifier in (
        (("--tier", "1"), get_first_tier()),
        ((), get_classifier()),
    ):
        done = run(lines.encode(), "--surface", "input", *arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode().split("\n") == [
            *(f"{classifier.score(text, Surface.INPUT).risk:.6f}" for text in texts), "",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "bad", [b"no json\n", b'{"text": 5}\n', b"[]\n", b'{"text": "\xff"}\n', b"\n"]
)
def test_a_bad_line_ends_the_command_with_its_number(bad: bytes) -> None:
    done = run(b'{"text": "fine"}\n' + bad, "--surface", "comment", "--tier", "1")
    assert done.returncode == 1
    assert b"CommandError" in done.stderr
    assert b"Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) <= 1


@pytest.mark.parametrize(
    "arguments", [[], ["--surface", "page"], ["--surface", "input", "--tier", "9"]]
)
def test_what_cannot_be_asked_for_is_refused(arguments: list[str]) -> None:
    assert run(b"", *arguments).returncode == 2


def test_nothing_in_is_nothing_out() -> None:
    done = run(b"", "--surface", "output", "--tier", "1")
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("line", ["[" * 100_000, "{}", '"text"', "NaN", ""])
def test_a_line_without_a_text_is_named(line: str) -> None:
    with pytest.raises(BadLine, match="Line 3"):
        read_text(line, 3)
