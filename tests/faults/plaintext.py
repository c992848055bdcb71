"""Search bytes for a text in every form in which a store might hold it unsealed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator


def forms(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield the names and the bytes of a text's forms."""
    raw = text.encode()
    yield "raw", raw
    yield "hex", raw.hex().encode()
    yield "HEX", raw.hex().upper().encode()
    yield "UTF-16-LE", text.encode("utf-16-le")
    yield "UTF-16-BE", text.encode("utf-16-be")
    yield "JSON", json.dumps(text)[1:-1].encode()
    # Where a text begins within what was encoded decides which characters come out.
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw)
        # Without the characters that its neighbours share.
        yield f"base64+{shift}", encoded[4:-4]


def find_plaintext(where: bytes, text: str) -> list[str]:
    """Return the names of the forms in which a text is there."""
    return [name for name, form in forms(text) if form in where]
