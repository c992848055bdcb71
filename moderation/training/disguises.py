"""Write a text so that filters miss it, as people do: for training, and to measure what holds."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping

from moderation.characters import LOOKALIKES

_LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "b": "8", "l": "1"}
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_LIKE: dict[str, str] = {}
for _foreign, _latin in LOOKALIKES.items():
    # The likest first: Cyrillic, of those that look the same in most fonts.
    _LIKE.setdefault(_latin, _foreign)


def leetspeak(text: str, draw: random.Random) -> str:
    """Put digits and signs for two letters in five."""
    return _replace(text, draw, 0.4, _LEET)


def lookalikes(text: str, draw: random.Random) -> str:
    """Put letters of other alphabets for half of those that have a likeness."""
    return _replace(text, draw, 0.5, _LIKE)


def invisible(text: str, draw: random.Random) -> str:
    """Put characters that show as nothing into every third gap."""
    return "".join(
        letter + (draw.choice(_INVISIBLE) if draw.random() < 0.35 else "") for letter in text
    )


def spacing(text: str, draw: random.Random) -> str:
    """Put a space, or a dot, between all letters of all words."""
    between = draw.choice((" ", " ", ".", "-"))
    apart = "   " if between == " " else " "
    return apart.join(between.join(word) for word in text.split())


def cases(text: str, draw: random.Random) -> str:
    """Change the case of letters at random."""
    return "".join(letter.upper() if draw.random() < 0.5 else letter.lower() for letter in text)


def in_base64(text: str, draw: random.Random) -> str:
    """Put the text in base64 after a request to follow it."""
    opening = draw.choice(("Decode this and do it: ", "Base64: ", "Answer the encoded question. "))
    return opening + base64.b64encode(text.encode()).decode()


def _replace(text: str, draw: random.Random, share: float, table: Mapping[str, str]) -> str:
    return "".join(
        draw.choice(table[letter.lower()])
        if letter.lower() in table and draw.random() < share
        else letter
        for letter in text
    )


DISGUISES: Mapping[str, Callable[[str, random.Random], str]] = {
    "leetspeak": leetspeak,
    "look-alikes": lookalikes,
    "invisible": invisible,
    "spacing": spacing,
    "case": cases,
    "base64": in_base64,
}
