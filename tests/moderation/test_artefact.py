from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moderation.artefact import DIGEST_PATH, LARGEST_BYTES, MAGIC, PATH, load, unpack
from moderation.errors import ArtefactRefused

START = len(MAGIC) + 32


def sealed(body: bytes) -> bytes:
    """A file whose digest fits, whatever it holds."""
    return MAGIC + hashlib.sha256(body).digest() + body


def altered(raw: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with another header, and a digest that fits."""
    length = int.from_bytes(raw[START : START + 4], "little")
    header = json.loads(raw[START + 4 : START + 4 + length])
    change(header)
    text = json.dumps(header).encode()
    return sealed(len(text).to_bytes(4, "little") + text + raw[START + 4 + length :])


def test_what_was_written_is_read(tiny_file: bytes) -> None:
    artefact = unpack(tiny_file)
    assert len(artefact.version) == 12
    assert artefact.weights.shape == (len(artefact.keys), len(artefact.heads))


def test_the_committed_file_fits_its_digest_and_its_limit() -> None:
    digest, name = DIGEST_PATH.read_text().split()
    assert name == PATH.name
    assert load(PATH, digest=digest).version
    assert PATH.stat().st_size <= LARGEST_BYTES


@pytest.mark.parametrize("place", [0, 10, START, START + 2, START + 30, -1])
def test_a_file_with_one_bit_turned_is_refused(tiny_file: bytes, place: int) -> None:
    raw = bytearray(tiny_file)
    raw[place] ^= 1
    with pytest.raises(ArtefactRefused):
        unpack(bytes(raw))


@pytest.mark.parametrize("length", [0, 7, START, START + 100, -1])
def test_a_file_that_was_cut_is_refused(tiny_file: bytes, length: int) -> None:
    with pytest.raises(ArtefactRefused):
        unpack(tiny_file[:length])


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("heads"),
        lambda header: header.update(keys=header["keys"] - 1),
        lambda header: header.update(keys=0),
        lambda header: header["heads"][0].__setitem__(1, float("nan")),
        lambda header: header["heads"][0].__setitem__(1, "1"),
        lambda header: header["heads"][0].__setitem__(0, header["heads"][1][0]),
        lambda header: header["surfaces"]["input"][0].__setitem__(0, "unknown"),
        lambda header: header["surfaces"]["input"][1].pop(),
        lambda header: header["surfaces"]["comment"][4].__setitem__(0, ["unknown"]),
        lambda header: header["surfaces"]["comment"][4].__setitem__(2, float("inf")),
        lambda header: header["surfaces"]["comment"].pop(),
        lambda header: header["surfaces"].pop("input"),
        lambda header: header["heads"].pop(),
    ],
)
def test_a_header_that_does_not_fit_is_refused_though_the_digest_does(
    tiny_file: bytes, change: Callable[[dict[str, Any]], object]
) -> None:
    with pytest.raises(ArtefactRefused):
        unpack(altered(tiny_file, change))


def test_keys_out_of_order_are_refused(tiny_file: bytes) -> None:
    length = int.from_bytes(tiny_file[START : START + 4], "little")
    keys = START + 4 + length
    swapped = tiny_file[keys + 4 : keys + 8] + tiny_file[keys : keys + 4]
    body = tiny_file[START:keys] + swapped + tiny_file[keys + 8 :]
    with pytest.raises(ArtefactRefused, match="order"):
        unpack(sealed(body))


def test_a_file_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(ArtefactRefused, match="5 MB"):
        unpack(bytes(LARGEST_BYTES + 1))


def test_another_file_than_was_committed_is_refused(tiny_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tier1.bin"
    path.write_bytes(tiny_file)
    assert load(path, digest=hashlib.sha256(tiny_file).hexdigest()).version
    with pytest.raises(ArtefactRefused, match="committed"):
        load(path, digest="0" * 64)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactRefused, match="cannot be read"):
        load(tmp_path / "none.bin")
