from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from moderation import tiers
from moderation.training.run import train
from tests.moderation.corpus import place_nothing, tiny_corpus, unheard


@pytest.fixture(scope="session")
def tiny_file() -> bytes:
    """The file of a classifier that learnt from the tiny corpus."""
    return train(tiny_corpus(), seed=1, told=unheard, place_words=place_nothing).raw


@pytest.fixture(autouse=True)
def both_tiers() -> Iterator[None]:
    tiers.choose_second("auto")
    yield
    tiers.choose_second(settings.MODERATION_TIER2)
