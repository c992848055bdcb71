from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from chatbot import env


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda: env.number("DIAL", 1), "many"),
        (lambda: env.number("DIAL", 1), ""),
        (lambda: env.number("DIAL", 1), "1.5"),
        (lambda: env.number("DIAL", 1, least=1), "0"),
        (lambda: env.number("DIAL", 1), "-1"),
        (lambda: env.seconds("DIAL", 1), "soon"),
        (lambda: env.seconds("DIAL", 1), "0"),
        (lambda: env.seconds("DIAL", 1), "nan"),
        (lambda: env.seconds("DIAL", 1), "inf"),
        (lambda: env.flag("DIAL", True), "enabled"),
        (lambda: env.required("DIAL"), "  "),
    ],
)
def test_a_bad_value_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[], Any], value: str
) -> None:
    monkeypatch.setenv("DIAL", value)
    with pytest.raises(ImproperlyConfigured) as caught:
        read()
    assert "DIAL" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("value", "is_good"), [(0, True), (1, False), (79, False), (80, True)])
def test_a_hold_back_is_none_or_long_enough(value: int, is_good: bool) -> None:
    if is_good:
        env.check_hold_back("DIAL", value)
        return
    with pytest.raises(ImproperlyConfigured, match="DIAL must be 0, or from 80"):
        env.check_hold_back("DIAL", value)


def test_what_is_missing_is_named_with_both_ways_to_give_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DIAL", raising=False)
    with pytest.raises(ImproperlyConfigured, match=r"Set DIAL \(or DIAL_FILE\)"):
        env.required("DIAL")


@pytest.mark.parametrize("value", ["true", "True", "1", "yes", "ON"])
def test_a_flag_can_be_switched_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DIAL", value)
    assert env.flag("DIAL", False) is True


@pytest.mark.parametrize("value", ["false", "False", "0", "no", "OFF", ""])
def test_a_flag_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DIAL", value)
    assert env.flag("DIAL", True) is False


def test_defaults_hold_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIAL", raising=False)
    assert env.text("DIAL", "word") == "word"
    assert env.flag("DIAL", True) is True
    assert env.number("DIAL", 3) == 3
    assert env.seconds("DIAL", 1.5) == 1.5
    assert env.names("DIAL", ["a", "b"]) == ["a", "b"]


def test_names_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIAL", " one.example , two.example,,")
    assert env.names("DIAL", []) == ["one.example", "two.example"]


def test_text_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n")
    monkeypatch.delenv("DIAL", raising=False)
    monkeypatch.setenv("DIAL_FILE", str(tmp_path / "secret"))
    assert env.text("DIAL") == "from the file"
    assert env.required("DIAL") == "from the file"


def test_a_file_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file")
    monkeypatch.setenv("DIAL", "from the variable")
    monkeypatch.setenv("DIAL_FILE", str(tmp_path / "secret"))
    assert env.text("DIAL") == "from the file"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("DIAL_FILE", str(tmp_path / "secret"))
    with pytest.raises(ImproperlyConfigured, match="DIAL_FILE"):
        env.text("DIAL")


def test_a_flag_is_not_read_from_the_file_of_another_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF\xff")
    monkeypatch.setenv("LOCAL_MODEL_FILE", str(tmp_path / "model.gguf"))
    monkeypatch.delenv("LOCAL_MODEL", raising=False)
    assert env.flag("LOCAL_MODEL", True) is True


def test_a_secret_may_begin_with_a_dollar_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIAL", "$HOME/is part of it")
    assert env.required("DIAL") == "$HOME/is part of it"


def test_a_database_url_becomes_settings() -> None:
    parsed = env.database("postgres://me:p%40ss@db.example:5433/chat")
    assert parsed["ENGINE"] == "django.db.backends.postgresql"
    assert (parsed["USER"], parsed["PASSWORD"]) == ("me", "p@ss")
    assert (parsed["HOST"], parsed["PORT"], parsed["NAME"]) == ("db.example", 5433, "chat")


@pytest.mark.parametrize(
    ("read", "name"), [(env.database, "DATABASE_URL"), (env.email, "EMAIL_URL")]
)
@pytest.mark.parametrize("url", ["nonsense", "gopher://me:hunter2@there/x", ""])
def test_a_bad_url_is_named_and_not_repeated(
    read: Callable[[str], Any], name: str, url: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=name) as caught:
        read(url)
    assert "hunter2" not in str(caught.value)


def test_a_bad_port_in_a_url_does_not_show_the_password() -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL") as caught:
        env.database("postgres://me:hunter2@db:99999/chat")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "urls",
    [["redis://one.example:6379", "rediss://:secret@two.example"], ["redis://[::1]:7000/0"]],
)
def test_a_cluster_is_given_by_addresses_of_its_nodes(urls: list[str]) -> None:
    env.check_cluster("NODES", urls)


@pytest.mark.parametrize(
    "url",
    [
        "one.example:6379",
        "redis://",
        "redis://:secret@one.example:many",
        "redis://one.example:0",
        "redis://:secret@one.example:6379/3",
        "unix:///run/redis.sock",
    ],
)
def test_what_is_no_address_of_a_node_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="NODES") as caught:
        env.check_cluster("NODES", ["redis://one.example", url])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["", "redis://:secret@host:6379/0", "rediss://host", "unix:///run/redis.sock"]
)
def test_a_url_has_a_known_scheme_and_a_host(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("REDIS_URL", value)
    assert env.url("REDIS_URL", "redis", "rediss", "unix") == value


@pytest.mark.parametrize(
    "value", ["host:6379", "redis://", "http://secret@host", "redis://:secret@host:x", "secret"]
)
def test_what_is_no_such_url_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("REDIS_URL", value)
    with pytest.raises(
        ImproperlyConfigured, match="REDIS_URL takes a URL such as redis://"
    ) as told:
        env.url("REDIS_URL", "redis", "rediss", "unix")
    assert "secret" not in str(told.value)
