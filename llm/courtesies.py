"""What a model says before it goes on with an answer, and what nobody wants to read there."""

from __future__ import annotations

import re

# How such a line begins. What begins in none of these ways is never held back for its sake.
STARTS = (
    *("sure", "certainly", "of course", "absolutely", "okay", "ok", "understood", "got it"),
    *("sorry", "apologies", "i'll", "i will", "let me", "here is", "here's", "here are"),
    *("gerne", "natürlich", "hier", "bien sûr", "voici", "claro", "aquí", "конечно", "好的"),
)
SELF_EVIDENT = (
    r"continuing(?=\s*(?:from|where|my|here|the (?:answer|text|story|code|list|response|message)|"
    r"[:\uff1a…\n]|\.\.\.))",
    r"(?:picking up|resuming)(?= (?:from|where))",
)
TOPIC = (
    r"(?:continu|left off|(?:the|my) (?:rest|remain)|picking up|resum|fortsetz|la suite|sigue|continú"
    r"|продолж|继续)"
)
# It ends in a colon or dots, or with its line.
COURTESY = re.compile(
    rf"\s*(?:(?:(?:{'|'.join(STARTS)})(?!\w)[^\n]{{0,100}}?{TOPIC}|{'|'.join(SELF_EVIDENT)})"
    r"[^\n:\uff1a…]{0,60}?(?:(?::|\uff1a|…|\.\.\.)\**\s+|\n\s*)|[(\[*]+continu[^\n)\]]{0,40}[)\]][*:]*\s+)",
    re.IGNORECASE,
)
HINTS = (*STARTS, "continuing", "picking up", "resuming", "(", "[", "*")
LONGEST = 240
ELLIPSIS = re.compile(r"\s*(?:…|\.\.\.)\s*")
# CommonMark 0.31, 4.5: what names a language opens a block of code and cannot close one.
FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([^\n`]*)$", re.MULTILINE)
REOPENING = re.compile(r"\s*(?:`{3,}|~{3,})[ \t]*\w[^\n`]*\n")


def is_in_code(text: str) -> bool:
    """Say whether a block of code is open at the end of a text."""
    fence = ""
    for found in FENCE.finditer(text):
        mark, language = found[1], found[2].strip()
        if not fence:
            fence = mark
        elif mark.startswith(fence) and not language:
            fence = ""
    return bool(fence)


def measure_courtesies(head: str, *, in_code: bool, is_all: bool) -> int | None:
    """Return how many characters at the beginning are a polite line, dots, or a fence once more.

    None while that depends on what is still to come. How a text comes in pieces changes nothing.
    """
    at = 0
    # Three dots are a statement in Python.
    for pattern in (COURTESY, REOPENING if in_code else ELLIPSIS):
        if found := pattern.match(head, at):
            at = found.end()
    rest = head[at : at + LONGEST]
    return None if not is_all and _may_be_one(rest, in_code=in_code) else at


def _may_be_one(rest: str, *, in_code: bool) -> bool:
    """Say whether what begins here may yet turn out to be something to take away."""
    line = rest.lstrip()
    if not line or line in (".", ".."):
        return True
    if "\n" in line or len(rest) >= LONGEST:
        return False
    lowered = line.lower()
    hints = (*HINTS, "`", "~") if in_code else HINTS
    return any(hint.startswith(lowered[: len(hint)]) for hint in hints)
