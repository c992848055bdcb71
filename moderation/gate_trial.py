"""What each hold-back of the gate is worth: answers streamed through it that nothing was learnt from."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from moderation.gate import LEAST_HOLD_BACK, MOST_HOLD_BACK, OutputGate, Violation
from moderation.judging import follow
from moderation.training.corpus import Example, Kind
from moderation.training.run import CALIBRATION
from moderation.types import Surface

HOLD_BACKS = (0, LEAST_HOLD_BACK, 120, MOST_HOLD_BACK)
# Answers of language models that people judged whole.
HARMFUL = frozenset({"gptfuzz_responses"})
HARMLESS = CALIBRATION[Surface.OUTPUT] | {"gpteacher_roleplay_out", "gptfuzz_responses"}
PLAN = "free"
# As models write: a word's beginning with the space before it, or a sign.
_TOKEN = re.compile(r"\s?\w{1,5}|\s?[^\w\s]|\s+")


@dataclass(frozen=True, slots=True)
class GateFigures:
    """What one setting does with the same answers; times are of the processor, shares from 0 to 1.

    `lag` is how many characters a reader is behind the model, on average over all tokens. `shown` is
    how many characters of harmful answers that were halted had been let out by then.
    `first_text_ms` is what judging adds before the first text, of 95 in 100 answers at most.
    """

    hold_back: int
    is_strict: bool
    harmful: int
    halted: float
    harmless: int
    wrongly_halted: float
    lag: float
    shown_median: int
    shown_most: int
    first_text_ms: float
    first_word_held: float
    ms_per_thousand_tokens: float


@dataclass(slots=True)
class _Tally:
    tokens: int = 0
    taken_s: float = 0.0
    lags: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    firsts_s: list[float] = field(default_factory=list)
    held_firsts: int = 0


def choose_answers(examples: Sequence[Example]) -> tuple[list[str], list[str]]:
    """Return harmful and harmless answers that the classifier did not learn from."""
    unseen = CALIBRATION[Surface.OUTPUT]
    chosen = [
        one
        for one in examples
        if one.kind is Kind.OUTPUT and (one.is_validation or one.source in unseen)
    ]
    harmful = [e.text for e in chosen if e.source in HARMFUL and not e.is_benign]
    return harmful, [e.text for e in chosen if e.source in HARMLESS and e.is_benign]


def try_gate(
    harmful: Sequence[str], harmless: Sequence[str], *, step: Callable[[], object]
) -> Iterator[GateFigures]:
    """Yield the figures of each hold-back, strict and not; `step` is called for each answer."""
    for is_strict in (False, True):
        for hold_back in HOLD_BACKS:
            yield _try(harmful, harmless, hold_back=hold_back, is_strict=is_strict, step=step)


def _try(
    harmful: Sequence[str],
    harmless: Sequence[str],
    *,
    hold_back: int,
    is_strict: bool,
    step: Callable[[], object],
) -> GateFigures:
    tally = _Tally()

    def count_halted(texts: Sequence[str]) -> int:
        halted = 0
        for text in texts:
            gate = OutputGate(follow(plan=PLAN, is_strict=is_strict), hold_back=hold_back)
            halted += _stream(text, gate, tally)
            step()
        return halted

    wrong = count_halted(harmless)
    tally.shown.clear()
    right = count_halted(harmful)
    shown = sorted(tally.shown) or [0]
    return GateFigures(
        hold_back=hold_back,
        is_strict=is_strict,
        harmful=len(harmful),
        halted=right / len(harmful),
        harmless=len(harmless),
        wrongly_halted=wrong / len(harmless),
        lag=sum(tally.lags) / len(tally.lags),
        shown_median=shown[len(shown) // 2],
        shown_most=shown[-1],
        first_text_ms=1_000 * sorted(tally.firsts_s)[int(len(tally.firsts_s) * 0.95)],
        first_word_held=tally.held_firsts / len(tally.firsts_s),
        ms_per_thousand_tokens=1e6 * tally.taken_s / tally.tokens,
    )


def _stream(text: str, gate: OutputGate, tally: _Tally) -> bool:
    """Say whether an answer that comes token by token was halted."""
    tokens = _TOKEN.findall(text)
    shown = came = 0
    started = time.process_time()
    try:
        for token in tokens:
            shown += len(gate.feed(token))
            came += len(token)
            tally.tokens += 1
            tally.lags.append(came - shown)
            if came == len(token):
                tally.firsts_s.append(time.process_time() - started)
                tally.held_firsts += not shown
        gate.finish()
    except Violation:
        tally.shown.append(shown)
        return True
    finally:
        tally.taken_s += time.process_time() - started
    return False
