"""Where requests come from: through proxies, past them, and with forged headers."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from pytest_django import Settings

from chatbot import env
from chatbot.accounts.addresses import NOWHERE, address_of, client_address, parse_proxies

PROXIES = parse_proxies(("10.0.0.0/8", "2001:db8:ffff::/48"))
PROXY = "10.0.0.1"
PERSON = "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        # Nobody vouches for what a stranger writes.
        (PERSON, "", PERSON),
        (PERSON, "203.0.113.9", PERSON),
        (PERSON, f"203.0.113.9, {PROXY}", PERSON),
        # One proxy, which adds what it saw to what it was told.
        (PROXY, PERSON, PERSON),
        (PROXY, f"203.0.113.9, {PERSON}", PERSON),
        (PROXY, f"{PROXY}, 10.9.9.9, {PERSON}", PERSON),
        # A chain of proxies, each of them ours.
        (PROXY, f"203.0.113.9, {PERSON}, 10.0.0.3, 10.0.0.2", PERSON),
        # A proxy that is not ours is where it ends.
        (PROXY, f"{PERSON}, 192.0.2.80, 10.0.0.2", "192.0.2.80"),
        # Somebody inside.
        (PROXY, "10.1.1.1, 10.0.0.2", "10.1.1.1"),
        (PROXY, "", PROXY),
        # What is no address ends the way, too.
        (PROXY, "unknown", PROXY),
        (PROXY, f"{PERSON}, <script>, 10.0.0.2", "10.0.0.2"),
        (PROXY, f"{PERSON},", PROXY),
        # As proxies write them.
        (PROXY, f" {PERSON}:51234 ", PERSON),
        (PROXY, "[2001:db8::7]:51234", "2001:db8::7"),
        (PROXY, "2001:db8::7", "2001:db8::7"),
        (PROXY, "fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1", f"::ffff:{PERSON}", PERSON),
        ("2001:db8:ffff::1", PERSON, PERSON),
    ],
)
def test_the_nearest_address_that_is_no_proxy_counts(peer: str, forwarded: str, found: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == ip_address(found)


def test_a_unix_socket_is_believed_where_it_is_named() -> None:
    assert str(client_address("", PERSON, parse_proxies(("unix",)))) == PERSON
    assert client_address("", PERSON, PROXIES) == NOWHERE
    assert client_address("", "", parse_proxies(("unix",))) == NOWHERE


def test_several_headers_are_one_list(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    request = RequestFactory().get("/", HTTP_X_FORWARDED_FOR=f"203.0.113.9,{PERSON}")
    assert address_of(request) == PERSON


def test_no_proxy_is_trusted_unless_it_is_named() -> None:
    request = RequestFactory().get("/", HTTP_X_FORWARDED_FOR=PERSON)
    assert address_of(request) == "127.0.0.1"


def test_proxies_are_addresses_networks_or_unix() -> None:
    env.check_proxies("PROXIES", ["10.0.0.0/8", "::1", "unix"])
    for wrong in ("10.0.0.1/8", "proxy.example", "*"):
        with pytest.raises(ImproperlyConfigured, match="PROXIES takes addresses"):
            env.check_proxies("PROXIES", [wrong])
