"""How long scoring takes, beside a plain piece of Python on the same machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from moderation.artefact import PATH, load
from moderation.classifier import Classifier, get_classifier
from moderation.training.grammar import write_examples
from moderation.types import Surface

# docs/moderation.md promises these on the machine it names.
PROMISED_MS = {(1, 200): 1.0, (1, 2_000): 5.0, (2, 200): 12.0, (2, 2_000): 60.0}
_TEXTS = 400
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds for texts of one length, and as a multiple of cutting them into words.

    Tier 2 is that together with tier 1, of texts for which it is asked at all.
    """

    tier: int
    characters: int
    median_ms: float
    p95_ms: float
    times_cutting: float


def measure_speed() -> list[Speed]:
    """Return how long texts of each promised length take, each seen for the first time."""
    return [
        _measure(tier, characters)
        for tier, characters in PROMISED_MS
        if tier in get_classifier().tiers
    ]


def _measure(tier: int, characters: int) -> Speed:
    first = Classifier(load(PATH))
    classifier = first if tier == 1 else get_classifier()
    sentences = " ".join(example.text for example in write_examples(characters))
    texts = [sentences[at * characters : (at + 1) * characters] for at in range(_TEXTS)]
    if tier == 2:
        texts = [text for text in texts if classifier.score(text, Surface.INPUT).tiers == (1, 2)]
    taken = _time(lambda text: classifier.score(text, Surface.INPUT), texts)
    plain = _time(_WORD.findall, texts)
    return Speed(
        tier,
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
        if speed.p95_ms > PROMISED_MS[speed.tier, speed.characters]:
            yield f"Tier {speed.tier}, {speed.characters} characters: p95 {speed.p95_ms:.2f} ms"
