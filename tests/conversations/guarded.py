"""Words that the gate lets through, words that it does not, and readers of both."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.conversations.conftest import ApiClient
from tests.sse import Frame, text_of

HARM = "exterminate all the immigrants"
FILLER = (
    "A garden wants water in the morning and shade at noon. Sow beans in May, when the soil is "
    "warm, and keep the rows a hand apart. Slugs come at night after rain; a board laid on the "
    "bed gathers them. Pick often, for plants that are picked go on giving until the first frost. "
) * 3


def cut(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


async def read_until(frames: AsyncIterator[Frame], wanted: str) -> list[Frame]:
    seen: list[Frame] = []
    async for frame in frames:
        seen.append(frame)
        if wanted in text_of(seen):
            return seen
    raise AssertionError(f"the stream ended with {text_of(seen)!r}")


async def read_on(api: ApiClient, generation: str, after: str = "0-0") -> list[Frame]:
    path = f"/generations/{generation}/events"
    return [frame async for frame in api.stream("get", path, **{"Last-Event-ID": after})]
