"""Notes without a model: the statements of the user that are likeliest to matter later. Pure.

For installations whose models are too small to sum anything up: what is kept was said like this,
and nothing is made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from conversations.context import PastTurn
from conversations.notes import FRAME
from llm.tokens import count_turn, estimate_tokens

MAX_LINE_CHARS = 240
LINES_PER_TURN = 3
# A statement worth less says nothing about anybody.
LEAST_WORTH = 2

_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_OWN = re.compile(
    r"\b(?:I|I'm|I've|my|mine|me|we|our|us|ich|mein\w*|wir|unser\w*|je|mon|ma|mes|nous|notre|yo|mi|mis"
    r"|nuestr\w+)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"\b(?:remember|note that|keep in mind|important|don't forget)\b", re.IGNORECASE
)
_SETTLED = re.compile(
    r"\b(?:decided?|agreed?|settled?|chose|chosen|must|never|always|deadline|budget|allerg\w+"
    r"|prefer\w*|like|love|hate|plan\w*|promised?)\b",
    re.IGNORECASE,
)
_IS = re.compile(
    r"\b(?:is|are|was|were|am|I'm|called|named|born|lives?|works?|ist|heiß\w+|est|es)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=\w )[A-ZÀ-ÖØ-Þ][\w’'-]+")
_NUMBER = re.compile(r"\d")
_QUESTION = re.compile(r"[?？]\s*$")
_ORDER = re.compile(
    r"^(?:please\s+)?(?:explain|write|tell|give|list|describe|show|make|continue|thanks?|hi|hello)\b",
    re.IGNORECASE,
)


def extract_notes(notes: str, turns: Iterable[PastTurn], limit: int) -> str:
    """Return notes of at most `limit` tokens: those so far, and what the user said in these turns.

    Where there are too many, those that are worth least go, the oldest first.
    """
    lines = [line for line in notes.splitlines() if line.strip()]
    known = {line.casefold() for line in lines}
    for turn in turns:
        if turn.role != "user":
            continue
        for line in _pick(turn.text):
            if line.casefold() not in known:
                known.add(line.casefold())
                lines.append(line)
    return "\n".join(_fit(lines, limit - count_turn(FRAME)))


def worth(sentence: str) -> int:
    """Return how much a sentence is likely to matter later.

    Names, numbers and what was settled count most, then what somebody says of themselves.
    """
    if _QUESTION.search(sentence):
        return 0
    names = len(_NAME.findall(sentence))
    points = 2 * bool(names) + (names > 1) + 2 * bool(_NUMBER.search(sentence))
    points += 2 * bool(_SETTLED.search(sentence)) + 3 * bool(_ASKED.search(sentence))
    points += bool(_OWN.search(sentence)) + bool(_IS.search(sentence))
    return points - 2 * bool(_ORDER.match(sentence))


def _pick(text: str) -> list[str]:
    sentences = [one.strip() for one in _SENTENCE.split(text)]
    fitting = [one for one in sentences if one and len(one) <= MAX_LINE_CHARS]
    best = sorted(fitting, key=worth, reverse=True)[:LINES_PER_TURN]
    return [one for one in fitting if one in best and worth(one) >= LEAST_WORTH]


def _fit(lines: list[str], limit: int) -> list[str]:
    sizes = [estimate_tokens(line) + 1 for line in lines]
    spare = limit - sum(sizes)
    gone: set[int] = set()
    for place in sorted(range(len(lines)), key=lambda place: worth(lines[place])):
        if spare >= 0:
            break
        spare += sizes[place]
        gone.add(place)
    return [line for place, line in enumerate(lines) if place not in gone]
