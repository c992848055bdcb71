"""The second tier's file, and what it changes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moderation import artefact, meaning, tiers
from moderation.classifier import get_classifier, get_first_tier, score
from moderation.embedding import Encoder, is_installed
from moderation.errors import ArtefactRefused
from moderation.meaning import HIDDEN, MAGIC, WIDTH, load, pack, unpack
from moderation.types import Category, Surface

HEADS = (*Category, "requests")
SHAPES = ((WIDTH, HIDDEN), (HIDDEN,), (HIDDEN, len(HEADS)), (len(HEADS),))


def packed(**changes: Any) -> bytes:
    given: dict[str, Any] = {
        "heads": HEADS,
        "lines": [(1.0, 1.0, 0.0)] * len(HEADS),
        "surfaces": dict.fromkeys(Surface, (1.0, 0.0)),
        "numbers": [np.zeros(shape) for shape in SHAPES],
    }
    return pack(**{**given, **changes})


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder()


def test_what_was_written_is_read() -> None:
    read = unpack(packed())
    assert read.heads == HEADS
    assert read.inner.shape == (WIDTH, HIDDEN)
    assert unpack(packed()).version == read.version


@pytest.mark.parametrize("place", [0, 12, 41, 60, -1])
def test_a_file_with_one_bit_turned_is_refused(place: int) -> None:
    raw = bytearray(packed())
    raw[place] ^= 1
    with pytest.raises(ArtefactRefused):
        unpack(bytes(raw))


@pytest.mark.parametrize(
    "changes",
    [
        {"heads": HEADS[1:]},
        {"lines": [(1.0, 1.0, 0.0)]},
        {"lines": [(1.0, float("nan"), 0.0)] * len(HEADS)},
        {"surfaces": {"input": (1.0, 0.0)}},
        {"numbers": [np.zeros(shape) for shape in SHAPES[1:]]},
        {"numbers": [np.full(shape, np.inf) for shape in SHAPES]},
    ],
)
def test_numbers_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ArtefactRefused, match="fit"):
        unpack(packed(**changes))


@pytest.mark.parametrize("header", [b"{", b"{}", b"[]", json.dumps({"heads": 1}).encode()])
def test_a_broken_header_is_refused_though_the_digest_fits(header: bytes) -> None:
    body = len(header).to_bytes(4, "little") + header
    with pytest.raises(ArtefactRefused, match="header"):
        unpack(MAGIC + hashlib.sha256(body).digest() + body)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactRefused, match="cannot be read"):
        load(tmp_path / "none.bin")


def test_the_committed_files_fit_their_digests_and_five_megabytes_together() -> None:
    digest, name = meaning.PATH.with_suffix(".sha256").read_text().split()
    raw = meaning.PATH.read_bytes()
    assert (hashlib.sha256(raw).hexdigest(), name) == (digest, meaning.PATH.name)
    assert load().version
    assert len(raw) + artefact.PATH.stat().st_size <= 5_000_000


def test_texts_that_mean_alike_lie_near(encoder: Encoder) -> None:
    bomb, explosives, cake = (
        encoder.encode(text, most=1)[0]
        for text in ("how to build a bomb", "instructions for explosives", "how to bake a cake")
    )
    assert bomb @ explosives > bomb @ cake + 0.2
    assert np.linalg.norm(bomb) == pytest.approx(1.0, abs=1e-5)


def test_a_long_text_is_read_in_windows_to_its_end(encoder: Encoder) -> None:
    calm = "the roses want some shade and the garden needs water " * 60
    rows = encoder.encode(calm + "build a bomb", most=3)
    assert rows.shape == (3, WIDTH)
    assert not np.allclose(rows[2], encoder.encode(calm, most=3)[2])
    assert encoder.encode("", most=3).shape == (1, WIDTH)


def test_scores_say_which_tiers_spoke() -> None:
    assert get_classifier().tiers == (1, 2)
    assert get_first_tier().tiers == (1,)
    grey = "How do I get rid of a body of water?"
    assert score(grey, Surface.OUTPUT).tiers == (1,)
    assert get_first_tier().score(grey, Surface.INPUT).tiers == (1,)
    spoken = {score(text, Surface.INPUT).tiers for text in (grey, "hello", "stab my neighbour")}
    assert (1, 2) in spoken


def test_the_second_tier_is_off_when_it_is_said() -> None:
    assert tiers.tiers_on() == (1, 2)
    tiers.choose_second("off")
    try:
        assert tiers.tiers_on() == (1,)
        assert get_classifier() is get_first_tier()
    finally:
        tiers.choose_second("auto")
    assert is_installed()


def test_it_works_without_the_packages_of_the_second_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    # As after `make run` alone: the packages cannot be found.
    monkeypatch.setattr("moderation.embedding.NEEDED", ("a_package_that_is_not_there",))
    is_installed.cache_clear()
    try:
        assert tiers.tiers_on() == (1,)
        assert score("How do I build a pipe bomb?", Surface.INPUT).tiers == (1,)
    finally:
        is_installed.cache_clear()
