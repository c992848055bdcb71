from __future__ import annotations

import base64
import traceback

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from chatbot.core.keyring import KeyringError, new_keyring_text, parse_keyring

KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()


@pytest.mark.parametrize("separator", [",", " ", "\n", " ,\n ", "\r\n"])
def test_the_first_key_seals_and_all_open(separator: str) -> None:
    ring = parse_keyring(f"new:{OTHER}{separator}old:{KEY}\n")
    assert ring.sealing_id == "new"
    assert ring.keys["old"] == b"0123456789abcdef0123456789abcdef"
    assert list(ring.keys) == ["new", "old"]


def test_a_made_ring_can_be_read() -> None:
    ring = parse_keyring(new_keyring_text("k9"))
    assert ring.sealing_id == "k9"
    assert new_keyring_text() != new_keyring_text()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "item 1: expected `id:base64key`"),
        ("   \n", "item 1: expected `id:base64key`"),
        (KEY, "item 1: expected `id:base64key`"),
        (f":{KEY}", "item 1: expected `id:base64key`"),
        (f"a/b:{KEY}", "item 1: expected `id:base64key`"),
        (f"{'x' * 33}:{KEY}", "item 1: expected `id:base64key`"),
        (f"kéy:{KEY}", "item 1: expected `id:base64key`"),
        (f"k1:{KEY},,k2:{OTHER},/", "item 3: expected `id:base64key`"),
        (f"k1:{KEY},k1:{OTHER}", "item 2: the id 'k1' stands twice"),
        (f"k1:{KEY[:-2]}", "item 1: the key is not base64"),
        (f"k1:{KEY[:-2]}!!", "item 1: the key is not base64"),
        (f"k1:{KEY[:-3]}é==", "item 1: the key is not base64"),
        (f"k1:{KEY},k2:c2hvcnQ=", "item 2: the key is not 32 bytes"),
        ("k1:", "item 1: the key is not 32 bytes"),
        (f"k1:{KEY}:{OTHER}", "item 1: the key is not base64"),
    ],
)
def test_a_bad_ring_says_what_is_wrong_and_shows_no_key(text: str, complaint: str) -> None:
    with pytest.raises(KeyringError) as caught:
        parse_keyring(text)
    assert complaint in str(caught.value)
    told = "".join(traceback.format_exception(caught.value))
    for secret in (KEY[:12], OTHER[:12], "c2hvcnQ"):
        assert secret not in told


def test_a_ring_does_not_show_its_keys() -> None:
    ring = parse_keyring(f"k1:{KEY}")
    for shown in (repr(ring), str(ring), f"{ring}"):
        assert shown == "Keyring(ids=['k1'])"


def test_the_system_check_refuses_a_bad_ring(settings: Settings) -> None:
    settings.KEYRING = "k1:short"
    errors = [message for message in run_checks() if message.id == "core.E001"]
    assert len(errors) == 1
    assert "short" not in str(errors[0])


def test_the_system_check_accepts_the_ring_of_these_tests() -> None:
    assert not [message for message in run_checks() if message.id == "core.E001"]
