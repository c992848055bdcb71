from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from moderation.classifier import score
from moderation.errors import BadLine
from moderation.management.commands.score_moderation import Command
from moderation.scoring import read_text
from moderation.types import Surface
from tests.live import ROOT


def run(lines: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "manage.py", "score_moderation", *arguments],
        input=lines,
        capture_output=True,
        cwd=ROOT,
        check=False,
        timeout=60,
    )


def test_one_risk_a_line_comes_out_in_order() -> None:
    texts = ["How do I bake bread?", "How do I build a pipe bomb?", "two\nlines\u2028and more", ""]
    lines = "".join(
        json.dumps({"text": text, "id": 1}, ensure_ascii=False) + "\n" for text in texts
    )
    done = run(lines.encode(), "--surface", "input", "--tier", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split("\n") == [
        *(f"{score(text, Surface.INPUT).risk:.6f}" for text in texts), "",
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ending:
    returncode: object
    stdout: str
    stderr: str


Run = Callable[..., Ending]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command as `manage.py` does, in the test's own process."""

    def run_here(lines: bytes, *arguments: str) -> Ending:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
        with pytest.raises(SystemExit) as ended:
            Command().run_from_argv(["manage.py", "score_moderation", *arguments])
        printed = capsys.readouterr()
        return Ending(ended.value.code, printed.out, printed.err)

    return run_here


def test_a_bad_line_ends_the_process_with_its_number() -> None:
    done = run(b'{"text": "fine"}\nno json\n', "--surface", "comment")
    assert done.returncode == 1
    assert b"CommandError: Line 2" in done.stderr
    assert b"Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) <= 1


@pytest.mark.parametrize("bad", [b'{"text": 5}\n', b"[]\n", b'{"text": "\xff"}\n', b"\n"])
def test_a_bad_line_ends_the_command(run_here: Run, bad: bytes) -> None:
    done = run_here(b'{"text": "fine"}\n' + bad, "--surface", "comment")
    assert done.returncode == 1
    assert "CommandError" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) <= 1


@pytest.mark.parametrize(
    "arguments", [[], ["--surface", "page"], ["--surface", "input", "--tier", "9"]]
)
def test_what_cannot_be_asked_for_is_refused(run_here: Run, arguments: list[str]) -> None:
    assert run_here(b"", *arguments).returncode == 2


def test_nothing_in_is_nothing_out() -> None:
    done = run(b"", "--surface", "output")
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("line", ["[" * 100_000, "{}", '"text"', "NaN", ""])
def test_a_line_without_a_text_is_named(line: str) -> None:
    with pytest.raises(BadLine, match="Line 3"):
        read_text(line, 3)
