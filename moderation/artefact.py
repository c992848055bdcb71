"""The classifier's file: how it is written, and what is refused when it is read.

Eight bytes of magic, the SHA-256 of all that follows, the length of the header (four bytes, little
endian), the header as JSON, the keys of the features (ascending, 32 bits each), and per key one
signed byte for each head. Nothing in it is code, and nothing is unpacked.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moderation.errors import ArtefactRefused
from moderation.types import Category, Surface

MAGIC = b"PARLEYM1"
LARGEST_BYTES = 5 * 1024 * 1024
PATH = Path(__file__).parent / "model" / "tier1.bin"
DIGEST_PATH = PATH.with_suffix(".sha256")
_DIGEST_BYTES = 32
_START = len(MAGIC) + _DIGEST_BYTES + 4


@dataclass(frozen=True, slots=True)
class Head:
    """One judgement: `slope * (scale * sum of weights) + shift` is its calibrated log odds.

    A byte b stands for the weight `b * abs(b)`: small weights are many, and told apart better so.
    """

    name: str
    scale: float
    slope: float
    shift: float


@dataclass(frozen=True, slots=True)
class Support:
    """Heads that decide nothing alone: log odds beyond `floor` are added, times `weight`."""

    heads: tuple[str, ...] = ()
    floor: float = 0.0
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a surface makes of heads: the log of the sum of their odds, calibrated once more.

    Each head has a handicap, in log odds: what it says counts only as far as it exceeds that.
    What the heads in `support` say is added to the whole.
    """

    heads: tuple[str, ...]
    handicaps: tuple[float, ...]
    slope: float
    shift: float
    support: Support = Support()


@dataclass(frozen=True, slots=True)
class Artefact:
    """All that scoring needs; `version` is the beginning of the file's digest."""

    version: str
    heads: tuple[Head, ...]
    surfaces: Mapping[str, Mixture]
    keys: NDArray[np.uint32]
    weights: NDArray[np.int8]


def pack(
    *,
    heads: Sequence[Head],
    surfaces: Mapping[str, Mixture],
    keys: NDArray[np.uint32],
    weights: NDArray[np.int8],
) -> bytes:
    """Return the file's bytes: the same for the same values."""
    header = {
        "heads": [[head.name, head.scale, head.slope, head.shift] for head in heads],
        "surfaces": {
            name: [
                mixture.heads,
                mixture.handicaps,
                mixture.slope,
                mixture.shift,
                [mixture.support.heads, mixture.support.floor, mixture.support.weight],
            ]
            for name, mixture in surfaces.items()
        },
        "keys": len(keys),
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = b"".join(
        [
            len(text).to_bytes(4, "little"),
            text,
            keys.astype("<u4").tobytes(),
            np.ascontiguousarray(weights, dtype=np.int8).tobytes(),
        ]
    )
    return MAGIC + hashlib.sha256(body).digest() + body


def load(path: Path = PATH, *, digest: str | None = None) -> Artefact:
    """Return what the file holds.

    Raises ArtefactRefused where it is missing, too large, cut, altered, not of this format, or,
    with a `digest` (hexadecimal, of the whole file), another one than was committed.
    """
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise ArtefactRefused(f"{path.name} cannot be read: {exc}") from exc
    if digest is not None and hashlib.sha256(raw).hexdigest() != digest:
        raise ArtefactRefused(f"{path.name} is not the file that was committed.")
    return unpack(raw)


def unpack(raw: bytes) -> Artefact:
    """Return what the bytes of a file hold. Raises ArtefactRefused as `load` does."""
    if len(raw) > LARGEST_BYTES:
        raise ArtefactRefused("The classifier is larger than 5 MB.")
    if len(raw) < _START or not raw.startswith(MAGIC):
        raise ArtefactRefused("This is not a classifier of this version.")
    stored = raw[len(MAGIC) : len(MAGIC) + _DIGEST_BYTES]
    if hashlib.sha256(raw[len(MAGIC) + _DIGEST_BYTES :]).digest() != stored:
        raise ArtefactRefused("The classifier was cut or altered: its digest differs.")
    length = int.from_bytes(raw[_START - 4 : _START], "little")
    try:
        header = json.loads(raw[_START : _START + length])
        heads = tuple(Head(*row) for row in header["heads"])
        surfaces = {name: _read_mixture(*row) for name, row in header["surfaces"].items()}
        count = int(header["keys"])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
        raise ArtefactRefused(f"The classifier's header is broken: {exc!r}") from exc
    _check_numbers(heads, surfaces)
    keys, weights = _read_weights(raw[_START + length :], count, len(heads))
    return Artefact(stored.hex()[:12], heads, surfaces, keys, weights)


def _read_mixture(
    heads: list[str],
    handicaps: list[float],
    slope: float,
    shift: float,
    support: tuple[list[str], float, float],
) -> Mixture:
    supporting, floor, weight = support
    return Mixture(
        tuple(heads), tuple(handicaps), slope, shift, Support(tuple(supporting), floor, weight)
    )


def _check_numbers(heads: Sequence[Head], surfaces: Mapping[str, Mixture]) -> None:
    numbers: list[Any] = [n for head in heads for n in (head.scale, head.slope, head.shift)]
    for mixture in surfaces.values():
        numbers += [*mixture.handicaps, mixture.slope, mixture.shift]
        numbers += [mixture.support.floor, mixture.support.weight]
    if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
        raise ArtefactRefused("The classifier has numbers that are none.")
    if set(surfaces) != set(Surface) or not {head.name for head in heads}.issuperset(Category):
        raise ArtefactRefused("The classifier does not know every surface and category.")
    names = {head.name for head in heads}
    if len(names) != len(heads) or not all(
        mixture.heads
        and names.issuperset((*mixture.heads, *mixture.support.heads))
        and len(mixture.handicaps) == len(mixture.heads)
        for mixture in surfaces.values()
    ):
        raise ArtefactRefused("The classifier's surfaces and heads do not fit together.")


def _read_weights(
    raw: bytes, count: int, heads: int
) -> tuple[NDArray[np.uint32], NDArray[np.int8]]:
    if count < 1 or len(raw) != count * (4 + heads):
        raise ArtefactRefused("The classifier's weights are of another number than it says.")
    keys = np.frombuffer(raw, dtype="<u4", count=count).astype(np.uint32)
    if np.any(keys[1:] <= keys[:-1]):
        raise ArtefactRefused("The classifier's keys are not in order.")
    weights = np.frombuffer(raw, dtype=np.int8, offset=count * 4).reshape(count, heads)
    return keys, weights
