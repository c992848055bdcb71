"""Which script answers a request: by the tag in what the user last wrote, or in order."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm.continuing import GO_ON
from tests.fakes.script import Script

TAG = re.compile(r"#script:([\w-]+)", re.ASCII)


class NotAPrefix(Exception):
    """The started answer is not how the scripted one begins: the caller mixed something up."""


def tagged(content: str, tag: str) -> str:
    """Return a message that is answered by the scripts under a tag."""
    return f"{content} #script:{tag}"


@dataclass(slots=True)
class Choice:
    """Scripts in order, scripts by tag, and the one for everything else."""

    default: Script = field(default_factory=Script)
    queue: deque[Script] = field(default_factory=deque)
    asked: Counter[str] = field(default_factory=Counter)
    _tagged: dict[str, deque[Script]] = field(default_factory=dict)

    def set_tagged(self, scripts: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Answer the first request with a tag by its first script, and so on.

        The last script of a tag answers all further requests with it.
        """
        self._tagged = {
            tag: deque(Script.from_json(values) for values in course)
            for tag, course in scripts.items()
        }

    def next_script(self, body: Any) -> Script:
        """Return the script for a request, from where a started answer left off.

        Raises NotAPrefix when it does not start as the script does.
        """
        messages = body.get("messages", [])
        script = self._find(messages)
        started = started_text(messages)
        if started is None:
            return script
        rest = continue_script(script, started)
        return rest if is_prefilled(messages) else _with_manners(script, rest)

    def _find(self, messages: Sequence[Any]) -> Script:
        asked = [text_of(turn) for turn in messages if turn["role"] == "user"]
        asked = [text for text in asked if text != GO_ON]
        found = TAG.findall(asked[-1]) if asked else []
        self.asked.update(found[-1:])
        course = self._tagged.get(found[-1]) if found else None
        if course is not None:
            return course.popleft() if len(course) > 1 else course[0]
        return self.queue.popleft() if self.queue else self.default


def text_of(turn: Mapping[str, Any]) -> str:
    content = turn["content"]
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content)


def started_text(messages: Sequence[Any]) -> str | None:
    """Return the answer that a model is to go on from, or None when it is to begin."""
    if messages and text_of(messages[-1]) == GO_ON:
        messages = messages[:-1]
    if not messages or messages[-1]["role"] != "assistant":
        return None
    return text_of(messages[-1])


def is_prefilled(messages: Sequence[Any]) -> bool:
    """Say whether the last turn is the model's own, unfinished."""
    return bool(messages) and messages[-1]["role"] == "assistant"


def _with_manners(script: Script, rest: Script) -> Script:
    """Return the rest as a model gives it that was asked for it in a user's turn."""
    left = list(rest.pieces())
    said = list(script.pieces())[: -len(left) or None]
    again = said[len(said) - script.repeats :] if script.repeats else []
    return rest.with_pieces([*filter(None, [script.preface]), *again, *left])


def continue_script(script: Script, started: str) -> Script:
    """Return what is left of a script after its first characters. Raises NotAPrefix."""
    pieces = deque(script.pieces())
    left = started
    while left and pieces:
        piece = pieces.popleft()
        if len(piece) > len(left) and piece.startswith(left):
            pieces.appendleft(piece[len(left) :])
            break
        if not left.startswith(piece):
            raise NotAPrefix
        left = left[len(piece) :]
    else:
        if left:
            raise NotAPrefix
    return script.with_pieces(list(pieces))
