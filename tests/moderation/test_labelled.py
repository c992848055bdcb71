"""What moderators decided is a corpus that the training reads."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import NoReturn

import pytest
from django.core.management import CommandError, call_command

from chatbot.accounts.models import User
from chatbot.audit.models import AuditEntry
from moderation.management.commands import export_verdicts
from moderation.models import ModerationEvent, Source, State, Verdict
from moderation.training.corpus import Kind, name_label, read_corpus
from moderation.types import Category
from tests.desk.events import BAD, put_event
from tests.factories import make_person

pytestmark = pytest.mark.django_db
WHY = "Learning from what we decided."


@pytest.fixture
def person() -> User:
    return make_person()


def put_verdict(person: User, text: str, verdict: Verdict, **fields: object) -> ModerationEvent:
    source = fields.pop("source", Source.MESSAGE)
    event = put_event(person, text=text, source=source)
    decided = {"state": State.DECIDED, "verdict": verdict, **fields}
    ModerationEvent.objects.filter(pk=event.pk).update(**decided)
    return event


def export(path: Path, *options: str) -> str:
    out = StringIO()
    call_command("export_verdicts", path, *options, stdout=out)
    return out.getvalue()


def test_verdicts_are_read_by_the_training(person: User, tmp_path: Path) -> None:
    put_verdict(person, BAD, Verdict.CONFIRMED, category=Category.VIOLENCE)
    put_verdict(person, "kill the process", Verdict.DISMISSED)
    put_verdict(person, "we all hate them", Verdict.CONFIRMED, label=Category.MINORS)
    put_verdict(person, "a bad answer", Verdict.CONFIRMED, source=Source.ANSWER, category="hate")
    lost = put_verdict(person, "lost words", Verdict.CONFIRMED)
    ModerationEvent.objects.filter(pk=lost.pk).update(excerpt_sealed=b"altered")
    put_event(person, text="nobody has decided this")
    counts = "harmless: 1\nhate: 1\nsexual_minors: 1\nunreadable: 1\nviolence: 1\n"
    path = tmp_path / "verdicts.jsonl.gz"
    assert export(path, "--dry-run") == counts
    assert not path.exists()
    assert not AuditEntry.objects.exists()
    assert export(path, "--reason", WHY) == counts
    found = {one.text: one for one in read_corpus(tmp_path)}
    assert {text: set(one.labels) for text, one in found.items()} == {
        BAD: {Category.VIOLENCE},
        "kill the process": set(),
        "we all hate them": {Category.MINORS},
        "a bad answer": {Category.HATE},
    }
    assert found["a bad answer"].kind == Kind.OUTPUT
    assert found[BAD].kind == Kind.INPUT
    assert {one.source for one in found.values()} == {"desk"}
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.detail) == ("verdicts.exported", {"reason": WHY})


def test_every_category_has_a_name_in_a_corpus() -> None:
    assert len({name_label(one) for one in Category}) == len(Category)


def test_some_are_held_out_and_the_same_text_always_is(person: User, tmp_path: Path) -> None:
    for number in range(60):
        put_verdict(person, f"words {number % 30}", Verdict.DISMISSED)
    export(tmp_path / "verdicts.jsonl.gz", "--reason", WHY)
    split: dict[str, set[bool]] = {}
    for one in read_corpus(tmp_path):
        split.setdefault(one.text, set()).add(one.is_validation)
    assert all(len(places) == 1 for places in split.values())
    assert {places.pop() for places in split.values()} == {True, False}


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("verdicts.jsonl.gz", "because", "Say why"),
        ("verdicts.json", WHY, "has to end with"),
        ("there.jsonl.gz", WHY, "is there already"),
        ("nowhere/verdicts.jsonl.gz", WHY, "No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_opened(
    tmp_path: Path, name: str, reason: str, words: str
) -> None:
    (tmp_path / "there.jsonl.gz").write_bytes(b"")
    with pytest.raises(CommandError, match=words):
        export(tmp_path / name, "--reason", reason)
    assert not AuditEntry.objects.exists()


def test_the_file_is_its_owners_only(person: User, tmp_path: Path) -> None:
    put_verdict(person, BAD, Verdict.CONFIRMED)
    path = tmp_path / "verdicts.jsonl.gz"
    export(path, "--reason", WHY)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_not_finished_is_taken_away(
    person: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(export_verdicts, "list_verdicts", interrupt)
    path = tmp_path / "verdicts.jsonl.gz"
    with pytest.raises(KeyboardInterrupt):
        export(path, "--reason", WHY)
    assert not path.exists()
