"""The second tier: what a text means, judged by a small network over the sentence model.

Its file (`model/tier2.bin`) has the form of the first tier's head: a magic, the SHA-256 of what
follows, and numbers; 384 numbers of meaning become `HIDDEN` and those one log odds a head, each
calibrated, with the first tier's, to the promise of `types.Scores`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moderation.embedding import Encoder
from moderation.errors import ArtefactRefused
from moderation.types import Category, Surface

MAGIC = b"PARLEYM2"
PATH = Path(__file__).parent / "model" / "tier2.bin"
WIDTH, HIDDEN = 384, 256
# Texts of the first window only would hide what stands at the end; each costs up to 11 ms.
MOST_WINDOWS = 3
_DIGEST_BYTES = 32
_HEADER = len(MAGIC) + _DIGEST_BYTES
Floats = NDArray[np.float32]
# Of both tiers together: `slope * (tier 1's log odds + gain * this tier's) + shift` is calibrated.
Line = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Meaning:
    """All that the second tier knows. `surfaces` has slope and shift of each surface's mixture."""

    version: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]
    surfaces: Mapping[str, tuple[float, float]]
    inner: Floats
    inner_bias: Floats
    outer: Floats
    outer_bias: Floats

    def read(self, rows: Floats) -> Floats:
        """Return the uncalibrated log odds of each head (columns) for rows of the encoder."""
        hidden = np.tanh(rows @ self.inner + self.inner_bias)
        answer: Floats = hidden @ self.outer + self.outer_bias
        return answer


def pack(
    *,
    heads: Sequence[str],
    lines: Sequence[Line],
    surfaces: Mapping[str, tuple[float, float]],
    numbers: Sequence[NDArray[np.floating]],
) -> bytes:
    """Return the file's bytes; `numbers` are inner, inner bias, outer and outer bias."""
    header = json.dumps(
        {"heads": list(heads), "lines": list(lines), "surfaces": dict(surfaces)},
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    body = len(header).to_bytes(4, "little") + header
    body += b"".join(np.ascontiguousarray(part, dtype="<f2").tobytes() for part in numbers)
    return MAGIC + hashlib.sha256(body).digest() + body


def unpack(raw: bytes) -> Meaning:
    """Return what a file holds. Raises ArtefactRefused where it is cut, altered or another's."""
    if not raw.startswith(MAGIC):
        raise ArtefactRefused("This is not a second tier of this version.")
    digest, body = raw[len(MAGIC) : _HEADER], raw[_HEADER:]
    if hashlib.sha256(body).digest() != digest:
        raise ArtefactRefused("The second tier was cut or altered: its digest differs.")
    length = int.from_bytes(body[:4], "little")
    try:
        header = json.loads(body[4 : 4 + length])
        heads = tuple(str(name) for name in header["heads"])
        lines = tuple((float(a), float(b), float(c)) for a, b, c in header["lines"])
        surfaces = {
            str(name): (float(slope), float(shift))
            for name, (slope, shift) in header["surfaces"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ArtefactRefused(f"The second tier's header is broken: {exc!r}") from exc
    numbers = np.frombuffer(body[4 + length :], dtype="<f2").astype(np.float32)
    sizes = (WIDTH * HIDDEN, HIDDEN, HIDDEN * len(heads), len(heads))
    fits = (
        len(numbers) == sum(sizes)
        and len(lines) == len(heads)
        and set(heads).issuperset(Category)
        and set(surfaces) == set(Surface)
        and bool(np.all(np.isfinite(numbers)))
        and all(math.isfinite(n) for line in (*lines, *surfaces.values()) for n in line)
    )
    if not fits:
        raise ArtefactRefused("The second tier's numbers do not fit together.")
    inner, inner_bias, outer, outer_bias = np.split(numbers, np.cumsum(sizes)[:-1])
    return Meaning(
        digest.hex()[:12],
        heads,
        lines,
        surfaces,
        inner.reshape(WIDTH, HIDDEN),
        inner_bias,
        outer.reshape(HIDDEN, len(heads)),
        outer_bias,
    )


def load(path: Path = PATH) -> Meaning:
    """Return what the file holds. Raises ArtefactRefused as `unpack`, or where it is missing."""
    try:
        return unpack(path.read_bytes())
    except OSError as exc:
        raise ArtefactRefused(f"{path.name} cannot be read: {exc}") from exc


class SecondTier:
    """A file of the second tier and the sentence model, made ready. Safe between threads."""

    def __init__(self, meaning: Meaning, encoder: Encoder) -> None:
        self.meaning = meaning
        self._encoder = encoder

    def odds(self, text: str) -> Mapping[str, float]:
        """Return the uncalibrated log odds of each head for a normalised text."""
        rows = self._encoder.encode(text, most=MOST_WINDOWS)
        found = self.meaning.read(rows).max(axis=0)
        return dict(zip(self.meaning.heads, found.tolist(), strict=True))

    def join(self, first: Mapping[str, float], text: str) -> dict[str, float]:
        """Return the calibrated log odds of each head, of both tiers together."""
        own = self.odds(text)
        return {
            head: slope * (first[head] + gain * own[head]) + shift
            for head, (gain, slope, shift) in zip(
                self.meaning.heads, self.meaning.lines, strict=True
            )
        }
