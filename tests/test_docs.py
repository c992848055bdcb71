"""The documentation names what the code has: settings, events, error codes, frames."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

from chatbot.core.errors import ChatError
from conversations.changes import NotAnAnswer
from conversations.consumers import InvalidFrame
from conversations.events import EventType
from conversations.memory import MemoryChanged
from conversations.search.finding import SearchUnavailable
from tests.live import ROOT

DOCS = ROOT / "docs"
ENV_READERS = {"text", "required", "flag", "choice", "names", "number", "seconds", "url"}
# Read for others' sake: a standard of desktops, and Django's own.
NOT_OURS = {"XDG_CACHE_HOME"}


def settings_read() -> set[str]:
    names: set[str] = set()
    for path in (ROOT / "chatbot/settings").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "env"
                and node.func.attr in ENV_READERS
                and isinstance(node.args[0], ast.Constant)
            ):
                names.add(str(node.args[0].value))
    return names - NOT_OURS


def test_every_setting_is_documented_and_no_other() -> None:
    table = (DOCS / "operations.md").read_text()
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})`", table))
    assert settings_read() <= documented
    known = settings_read() | NOT_OURS | {"DJANGO_SETTINGS_MODULE", "NAME_FILE", "NAME"}
    assert documented <= known


def test_every_event_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (DOCS / "streaming.md").read_text(), re.MULTILINE)
    assert set(EventType) <= set(rows)


def test_every_table_of_ours_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", (DOCS / "data.md").read_text()))
    ours = {"accounts", "audit", "conversations", "moderation"}
    tables = {one._meta.db_table for one in apps.get_models() if one._meta.app_label in ours}
    assert tables <= documented


def subclasses(kind: type[ChatError]) -> Iterator[type[ChatError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def all_errors() -> set[type[ChatError]]:
    return {ChatError}.union(subclasses(ChatError))


def test_every_error_code_is_documented_with_its_status() -> None:
    # Importing the doors and what they call defines every error there is.
    named = {NotAnAnswer, InvalidFrame, MemoryChanged, SearchUnavailable}
    assert named <= set(subclasses(ChatError))
    documented = dict(
        re.findall(r"^\| `(\w+)` \| (\d+) \|", (DOCS / "api.md").read_text(), re.MULTILINE)
    )
    actual = {kind.code: str(kind.status) for kind in all_errors()}
    # Provider failures reach people inside a `failed` event, which has no status.
    assert {code: documented.get(code) for code in actual} == actual
    assert documented.keys() <= actual.keys()


def test_error_codes_are_unique() -> None:
    codes = [kind.code for kind in all_errors()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
