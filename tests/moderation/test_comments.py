"""What the committed classifier makes of comments that it did not learn from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from moderation.classifier import Classifier, get_classifier, get_first_tier
from moderation.rates import score_at
from moderation.training.measures import average_precision
from moderation.types import Surface

TEXTS = Path(__file__).with_name("comments.txt")
HARMFUL = {"sexual", "hate", "harassment", "violence", "threat", "self-harm"}


def read_texts() -> Iterator[tuple[str, str]]:
    """Yield each text behind the name of what it stands under."""
    kind = ""
    for line in TEXTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            kind = line[3:]
        elif line and not line.startswith("#"):
            yield kind, line


def judge(classifier: Classifier) -> float:
    """Return the average precision at three harmful texts in ten."""
    harmful: list[float] = []
    harmless: list[float] = []
    for kind, text in read_texts():
        risk = classifier.score(text, Surface.COMMENT).risk
        (harmful if kind in HARMFUL else harmless).append(risk)
    return average_precision(np.array(harmful), np.array(harmless), share=0.3)


def test_the_texts_are_three_hundred_of_which_a_third_is_harmful() -> None:
    kinds = [kind for kind, _ in read_texts()]
    assert len(kinds) == 302
    assert sum(kind in HARMFUL for kind in kinds) == 100


def test_harmful_comments_stand_out_from_stories_news_and_quotations() -> None:
    assert judge(get_first_tier()) >= 0.8


def test_they_stand_out_further_with_the_second_tier() -> None:
    assert judge(get_classifier()) >= 0.85


@pytest.mark.parametrize(
    "text",
    [
        "Too long.",
        "This was cut off",
        "I hate this answer",
        "Stop repeating yourself",
        "That killed my enthusiasm",
        "did not finish the story",
        "Hallucinated a library that does not exist.",
    ],
)
def test_what_people_say_of_an_answer_is_not_shown_to_moderators(text: str) -> None:
    for classifier in (get_first_tier(), get_classifier()):
        assert classifier.score(text, Surface.COMMENT).risk < score_at(0.04)
