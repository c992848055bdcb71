"""How long scoring takes, beside a plain piece of Python on the same machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from moderation.artefact import PATH, load
from moderation.classifier import Classifier
from moderation.training.grammar import write_examples
from moderation.types import Surface

# docs/moderation.md promises these on the machine it names.
PROMISED_MS = {200: 1.0, 2_000: 5.0}
_TEXTS = 400
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds for texts of one length, and as a multiple of cutting them into words."""

    characters: int
    median_ms: float
    p95_ms: float
    times_cutting: float


def measure_speed() -> list[Speed]:
    """Return how long texts of each promised length take, each seen for the first time."""
    classifier = Classifier(load(PATH))
    return [_measure(classifier, characters) for characters in PROMISED_MS]


def _measure(classifier: Classifier, characters: int) -> Speed:
    sentences = " ".join(example.text for example in write_examples(characters))
    texts = [sentences[at * characters : (at + 1) * characters] for at in range(_TEXTS)]
    taken = _time(lambda text: classifier.score(text, Surface.INPUT), texts)
    plain = _time(_WORD.findall, texts)
    return Speed(
        characters,
        taken[len(taken) // 2],
        taken[int(len(taken) * 0.95)],
        taken[len(taken) // 2] / plain[len(plain) // 2],
    )


def _time(act: Callable[[str], object], texts: list[str]) -> list[float]:
    """Return the milliseconds that each text took, ascending."""
    taken = []
    for text in texts:
        started = time.perf_counter()
        act(text)
        taken.append((time.perf_counter() - started) * 1_000)
    return sorted(taken)


def broken_promises(speeds: list[Speed]) -> Iterator[str]:
    """Yield a sentence for each length that takes longer than promised."""
    for speed in speeds:
        if speed.p95_ms > PROMISED_MS[speed.characters]:
            yield f"{speed.characters} characters: p95 {speed.p95_ms:.2f} ms"
