"""What is written in a code that models read as plainly as text."""

from __future__ import annotations

import base64
import binascii
import re

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{12,}={0,2}(?![A-Za-z0-9+/=])")
# A long run of ordinary words joined by hyphens or slashes is no code.
_TELLING = re.compile(r"[A-Z].*[a-z]|[a-z].*[A-Z]|\d")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}[ :]?){10,}(?![0-9A-Za-z])")
# No more than so many are opened: what somebody sends must not decide how long we read.
_MOST = 8


def decode_hidden(text: str) -> list[str]:
    """Return the texts that stand in `text` as base64 or hexadecimal, at most eight."""
    found: list[str] = []
    for match in _BASE64.finditer(text):
        if len(found) < _MOST and _TELLING.search(match.group()):
            found += _readable(_open_base64(match.group()))
    for match in _HEX.finditer(text):
        if len(found) < _MOST:
            found += _readable(bytes.fromhex(re.sub(r"[^0-9A-Fa-f]", "", match.group())))
    return found


def _open_base64(code: str) -> bytes:
    code = code.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(code + "=" * (-len(code) % 4), validate=True)
    except binascii.Error:
        return b""


def _readable(raw: bytes) -> list[str]:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return []
    letters = sum(character.isalpha() or character == " " for character in text)
    return [text] if len(text) >= 8 and letters * 10 >= len(text) * 7 else []
