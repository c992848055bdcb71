"""One character at a time: what a reader sees instead of what was typed."""

from __future__ import annotations

import unicodedata

# Letters of living alphabets that look like Latin ones, chosen from Unicode's confusables (UTS 39).
# They count as Latin only where the text is not really written in their alphabet.
_LOOKALIKES = (
    "a:аӑӓαա b:ЬьвβЪъ c:сҫςϲ d:ԁժδ e:еёєҽεӗ f:ғֆ g:ԍցգ h:һհћн i:іїιͺ j:јյ k:кκҝқ l:ӏլ m:мʍμ "
    "n:пηռո o:оοσօө p:рρ q:ԛզգ r:гѓ s:ѕտ t:тτҭ u:υսцʋ v:ѵνѷ w:ԝωшաѡ x:хχҳ y:уγүұў z:ζʐ"
)
# Read as Latin wherever they stand: nobody writes texts in them.
_STYLED = (
    "a:ᴀɑɐꓮ b:ʙƀɓꓐ c:ᴄƈꓚꞓ d:ᴅɖɗꓓ e:ᴇɛǝɘəɜꓰ f:ꜰƒꓝ g:ɢɡɠꓖ h:ʜɦꓧ i:ɪıɩɨꓲ j:ᴊɉʝꓙ k:ᴋƙꓗ l:ʟłɫɭꓡ "
    "m:ᴍɱꓟ n:ɴɲŋꓠ o:ᴏøɔɵꓳ p:ᴘƥꓑ q:ꞯʠ r:ʀɾɹɼꓣ s:ꜱʂꓢ t:ᴛŧƭʈꓔ u:ᴜʉʊꓴ v:ᴠʌꓦ w:ᴡɯꓪ x:ꓫ y:ʏƴɏꓬ z:ᴢƶʑꓜ"
)
_WORDS_OF_TAGS = range(0xE0020, 0xE007F)
_REGIONAL = range(0x1F1E6, 0x1F200)
_NEGATIVE_SQUARED = range(0x1F170, 0x1F18A)
_NEGATIVE_CIRCLED = range(0x1F150, 0x1F16A)
# Marks that are put over Latin letters, and selectors of how a character is drawn.
_MARKS = (range(0x300, 0x370), range(0x1AB0, 0x1B00), range(0x1DC0, 0x1E00), range(0x20D0, 0x2100))
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
# Letters by their property, yet drawn as nothing.
_FILLERS = frozenset("\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
# One character may stand for a phrase of eighteen (U+FDFA); longer ones than this stay as they are.
LONGEST = 4


def _pairs(table: str) -> dict[str, str]:
    return {
        lookalike: latin
        for latin, lookalikes in (entry.split(":") for entry in table.split())
        for lookalike in lookalikes.lower()
    }


LOOKALIKES = _pairs(_LOOKALIKES)
STYLED = _pairs(_STYLED)


def read_character(character: str) -> str:
    """Return what one character is read as: lower case, without marks, and "" if invisible.

    Reading the answer again changes nothing. It is no longer than `LONGEST`.
    """
    code = ord(character)
    if code < 0x80:
        return character.lower() if character.isprintable() or character == "\n" else " "
    if code in _WORDS_OF_TAGS:
        # Invisible copies of ASCII, which models read and people do not.
        return chr(code - 0xE0000).lower()
    for letters in (_REGIONAL, _NEGATIVE_SQUARED, _NEGATIVE_CIRCLED):
        if code in letters:
            return chr(ord("a") + code - letters.start)
    if _is_invisible(character):
        return ""
    if character.isspace():
        return "\n" if character in "\u2028\u2029\x85" else " "
    return _fold(character)


def _is_invisible(character: str) -> bool:
    code = ord(character)
    return (
        character in _FILLERS
        or unicodedata.category(character) in {"Cf", "Cs", "Co"}
        or any(code in marks for marks in _MARKS + _SELECTORS)
    )


def _fold(character: str) -> str:
    plain = "".join(
        part for part in unicodedata.normalize("NFKD", character) if not _is_invisible(part)
    )
    if not plain.isascii():
        plain = unicodedata.normalize("NFKC", character)
    for _ in range(3):
        # What lower case or composition brought about may have a simpler form again.
        plain = "".join(_simplify(part) for part in unicodedata.normalize("NFKC", plain.lower()))
    return plain if len(plain) <= LONGEST else " "


def _simplify(part: str) -> str:
    if _is_invisible(part):
        return ""
    if part.isspace():
        return " "
    bare = unicodedata.normalize("NFKD", part)[0]
    if bare.isascii() and bare.isalnum() and unicodedata.category(part).startswith("L"):
        return bare
    return STYLED.get(part, part)


class _Table(dict[int, str]):
    """Fills itself with the characters that texts really have."""

    def __missing__(self, code: int) -> str:
        read = self[code] = read_character(chr(code))
        return read


TABLE = _Table()
