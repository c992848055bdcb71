from __future__ import annotations

import base64

import pytest
from hypothesis import given, strategies as st

from chatbot.core.crypto import CannotOpen, DataCipher, bind, new_wrapped_key, unwrap_key
from chatbot.core.keyring import Keyring, new_keyring_text, parse_keyring

PLACE = ("conversations_message", "content", "row-1", 7)
OWNER = ("conversation", "0190")


@pytest.fixture
def keyring() -> Keyring:
    return parse_keyring(new_keyring_text("k1"))


@pytest.fixture
def cipher(keyring: Keyring) -> DataCipher:
    return unwrap_key(keyring, new_wrapped_key(keyring, *OWNER), *OWNER)


@given(text=st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_opens_as_it_was(text: str) -> None:
    cipher = DataCipher(b"k" * 32)
    assert cipher.open(cipher.seal(text, *PLACE), *PLACE) == text


def test_a_database_may_hand_the_value_back_as_a_memoryview(cipher: DataCipher) -> None:
    assert cipher.open(memoryview(cipher.seal("Hi", *PLACE)), *PLACE) == "Hi"


def test_equal_texts_do_not_look_alike(cipher: DataCipher) -> None:
    assert cipher.seal("the same", *PLACE) != cipher.seal("the same", *PLACE)


def test_the_sealed_value_does_not_contain_the_text(cipher: DataCipher) -> None:
    assert b"a word to find" not in cipher.seal("a word to find", *PLACE)


def test_a_change_to_any_byte_is_refused(cipher: DataCipher) -> None:
    sealed = cipher.seal("Meet me at noon", *PLACE)
    for index in range(len(sealed)):
        altered = bytearray(sealed)
        altered[index] ^= 1
        with pytest.raises(CannotOpen):
            cipher.open(bytes(altered), *PLACE)


def test_a_value_cut_anywhere_is_refused(cipher: DataCipher) -> None:
    sealed = cipher.seal("Meet me at noon", *PLACE)
    for length in range(len(sealed)):
        with pytest.raises(CannotOpen):
            cipher.open(sealed[:length], *PLACE)


def test_a_value_with_something_after_it_is_refused(cipher: DataCipher) -> None:
    with pytest.raises(CannotOpen):
        cipher.open(cipher.seal("Meet me", *PLACE) + b"\x00", *PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        ("conversations_summary", "content", "row-1", 7),
        ("conversations_message", "title", "row-1", 7),
        ("conversations_message", "content", "row-2", 7),
        ("conversations_message", "content", "row-1", 8),
        ("conversations_message", "content", "row-1"),
        ("conversations_message", "content", "row-1", 7, ""),
        ("conversations_message", "contentrow-1", 7),
        (),
    ],
)
def test_a_value_copied_elsewhere_is_refused(
    cipher: DataCipher, elsewhere: tuple[str | int, ...]
) -> None:
    sealed = cipher.seal("Meet me at noon", *PLACE)
    with pytest.raises(CannotOpen):
        cipher.open(sealed, *elsewhere)


def test_another_owners_cipher_is_refused(keyring: Keyring, cipher: DataCipher) -> None:
    other = unwrap_key(keyring, new_wrapped_key(keyring, *OWNER), *OWNER)
    with pytest.raises(CannotOpen):
        other.open(cipher.seal("Meet me at noon", *PLACE), *PLACE)


_PLACES = st.lists(st.text(st.characters(codec="utf-8")) | st.integers(), max_size=5)


@given(one=_PLACES, other=_PLACES)
def test_no_two_places_are_bound_alike(one: list[str | int], other: list[str | int]) -> None:
    same = list(map(str, one)) == list(map(str, other))
    assert (bind(*one) == bind(*other)) is same


@given(fields=st.lists(st.text(alphabet="a\x00\x01", max_size=4), min_size=1, max_size=4))
def test_moving_the_border_between_fields_changes_the_binding(fields: list[str]) -> None:
    assert bind("".join(fields), "") != bind("", "".join(fields)) or not "".join(fields)
    assert bind(*fields) != bind(*fields, "")


def test_the_cipher_does_not_show_its_key(cipher: DataCipher) -> None:
    assert repr(cipher.key) not in repr(cipher)
    assert base64.b64encode(cipher.key).decode() not in repr(cipher)


def test_each_owner_gets_a_key_of_their_own(keyring: Keyring) -> None:
    wrapped = [new_wrapped_key(keyring, *OWNER) for _ in range(2)]
    one, other = (unwrap_key(keyring, value, *OWNER).key for value in wrapped)
    assert one != other
    assert len(one) == 32
    assert one not in wrapped[0]


@pytest.mark.parametrize("owner", [("conversation", "0191"), ("user", "0190"), ("conversation",)])
def test_a_key_moved_to_another_owner_is_refused(keyring: Keyring, owner: tuple[str, ...]) -> None:
    wrapped = new_wrapped_key(keyring, *OWNER)
    with pytest.raises(CannotOpen):
        unwrap_key(keyring, wrapped, *owner)


def test_a_change_to_any_byte_of_a_wrapped_key_is_refused(keyring: Keyring) -> None:
    wrapped = new_wrapped_key(keyring, *OWNER)
    for index in range(len(wrapped)):
        for mask in (1, 0x80, 0xFF):
            altered = bytearray(wrapped)
            altered[index] ^= mask
            with pytest.raises(CannotOpen):
                unwrap_key(keyring, bytes(altered), *OWNER)


def test_a_wrapped_key_cut_anywhere_is_refused(keyring: Keyring) -> None:
    wrapped = new_wrapped_key(keyring, *OWNER)
    for length in range(len(wrapped)):
        with pytest.raises(CannotOpen):
            unwrap_key(keyring, wrapped[:length], *OWNER)


@pytest.mark.parametrize("erased", [None, b"", memoryview(b"")])
def test_an_erased_key_is_refused(keyring: Keyring, erased: bytes | memoryview | None) -> None:
    with pytest.raises(CannotOpen, match="missing"):
        unwrap_key(keyring, erased, *OWNER)


def test_a_key_id_that_the_ring_does_not_have_is_named(keyring: Keyring) -> None:
    wrapped = new_wrapped_key(parse_keyring(new_keyring_text("lost")), *OWNER)
    with pytest.raises(CannotOpen, match="'lost'"):
        unwrap_key(keyring, wrapped, *OWNER)


def test_the_same_id_with_another_key_is_refused(keyring: Keyring) -> None:
    wrapped = new_wrapped_key(parse_keyring(new_keyring_text("k1")), *OWNER)
    with pytest.raises(CannotOpen):
        unwrap_key(keyring, wrapped, *OWNER)


def test_after_a_rotation_the_old_key_opens_and_the_first_seals() -> None:
    old_text, new_text = new_keyring_text("2024"), new_keyring_text("2025")
    wrapped = new_wrapped_key(parse_keyring(old_text), *OWNER)
    rotated = parse_keyring(f"{new_text},{old_text}")
    before = unwrap_key(parse_keyring(old_text), wrapped, *OWNER)
    assert unwrap_key(rotated, wrapped, *OWNER).key == before.key

    fresh = new_wrapped_key(rotated, *OWNER)
    assert fresh[2:6] == b"2025"
    unwrap_key(parse_keyring(new_text), fresh, *OWNER)
    with pytest.raises(CannotOpen):
        unwrap_key(parse_keyring(old_text), fresh, *OWNER)


def test_a_wrapped_key_cannot_be_relabelled_to_another_key_of_the_ring() -> None:
    rotated = parse_keyring(f"{new_keyring_text('aa')} {new_keyring_text('bb')}")
    wrapped = new_wrapped_key(rotated, *OWNER)
    with pytest.raises(CannotOpen):
        unwrap_key(rotated, wrapped.replace(b"aa", b"bb", 1), *OWNER)
