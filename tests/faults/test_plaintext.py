from __future__ import annotations

import base64
import json

from tests.faults.plaintext import find_plaintext, forms

SAID = "Geheimnis 👩‍👩‍👧 der Königin"


def test_the_search_finds_a_text_in_every_form() -> None:
    around = b"\0before %b after\0"
    for name, form in forms(SAID):
        assert name in find_plaintext(around % form, SAID)
    for before in (b"", b"x", b"xy"):
        encoded = base64.b64encode(before + SAID.encode() + b"after")
        assert find_plaintext(encoded, SAID)
    assert find_plaintext(json.dumps({"x": SAID}).encode(), SAID) == ["JSON"]
    assert find_plaintext(b"nothing of it", SAID) == []
