"""What a text means, as 384 numbers: texts that mean alike have alike numbers.

Needs the packages of requirements-tier2.txt; `is_installed` says whether they are there.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

# Parts of words that are read at once: about 500 characters, and what the model learnt with.
WINDOW = 128
NEEDED = ("all_minilm_l6_v2", "onnx", "onnxruntime", "tokenizers")


@cache
def is_installed() -> bool:
    """Return whether all packages that `Encoder` needs can be imported."""
    return all(find_spec(name) is not None for name in NEEDED)


class Encoder:
    """The sentence model, made ready in about a second. Safe between threads."""

    def __init__(self) -> None:
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer

        from moderation.minilm import build_graph, read_package

        weights, description = read_package()
        self._tokenizer = Tokenizer.from_str(description)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        options = SessionOptions()
        # A process serves many at once: one text must not take all cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = InferenceSession(
            build_graph(weights), options, providers=["CPUExecutionProvider"]
        )

    @property
    def vocabulary(self) -> list[str]:
        """The words, and parts of words, that the model tells apart."""
        return sorted(self._tokenizer.get_vocab())

    def encode(self, text: str, *, most: int) -> NDArray[np.float32]:
        """Return a row of length 1 for each window of `text`, at most `most` of them.

        Where it is longer than they can cover, they are spread over all of it.
        """
        encoded = self._tokenizer.encode(text).ids
        first, inner, last = encoded[:1], encoded[1:-1], encoded[-1:]
        room = WINDOW - 2
        count = min(most, max(1, -(-len(inner) // room)))
        starts = np.linspace(0, max(0, len(inner) - room), count).astype(int)
        rows = [self._run([*first, *inner[start : start + room], *last]) for start in starts]
        return np.array(rows, dtype=np.float32)

    def _run(self, ids: list[int]) -> NDArray[np.float32]:
        feed = {
            "ids": np.array([ids], dtype=np.int64),
            "places": np.arange(len(ids), dtype=np.int64),
        }
        row: NDArray[np.float32] = np.asarray(self._session.run(None, feed)[0])[0]
        return row / np.float32(max(float(np.sqrt(np.sum(row * row))), 1e-9))
