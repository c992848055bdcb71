"""A provider's prompt cache, as platform.claude.com ("Prompt caching") describes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

MAX_MARKS = 4
SIGHT_BLOCKS = 20


@dataclass
class PromptCache:
    """Keeps prefixes of requests and says how many blocks of a new one it had."""

    least_tokens: int = 0
    _kept: set[str] = field(default_factory=set)

    def ask(self, body: bytes) -> int:
        """Take a request; return the length, in blocks, of the prefix that was read.

        Raises ValueError for what the API refuses.
        """
        blocks = _blocks(json.loads(body))
        marks = [place for place, block in enumerate(blocks) if "cache_control" in block]
        if len(marks) > MAX_MARKS:
            raise ValueError("a maximum of 4 blocks with cache_control may be provided")
        if any(not blocks[mark]["text"] for mark in marks):
            raise ValueError("cache_control cannot be set for empty text blocks")
        prefixes = _prefixes(blocks)
        read = max((self._find(prefixes, mark) for mark in marks), default=0)
        self._kept.update(prefixes[mark] for mark in marks)
        return read

    def _find(self, prefixes: list[str], mark: int) -> int:
        for place in range(mark, max(-1, mark - SIGHT_BLOCKS), -1):
            if prefixes[place] in self._kept:
                return place + 1
        return 0


def _blocks(question: Any) -> list[dict[str, Any]]:
    system = [{"role": "system", **block} for block in question.get("system", [])]
    said = [
        {"role": message["role"], **block}
        for message in question["messages"]
        for block in message["content"]
    ]
    return system + said


def _prefixes(blocks: list[dict[str, Any]]) -> list[str]:
    """Return what identifies the prefix up to each block; a mark is no part of it."""
    bare = [(block["role"], block["text"]) for block in blocks]
    return [json.dumps(bare[: place + 1]) for place in range(len(bare))]
