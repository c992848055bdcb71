"""Entries stand and fall with what they tell of, in one order, whoever writes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from pytest_django import Settings

from chatbot.audit.log import SYSTEM, record
from chatbot.audit.models import AuditEntry, AuditHead

pytestmark = pytest.mark.django_db(transaction=True)


def verify(*arguments: str) -> str:
    out = StringIO()
    call_command("verify_audit", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def refused(*arguments: str) -> str:
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_audit", *arguments, stdout=out, stderr=out)
    return out.getvalue().strip()


def write(count: int) -> None:
    for number in range(count):
        record(SYSTEM, "policy.changed", f"policy:{number}", threshold=0.5, labels=["a", "ß"])


def test_what_was_written_is_found_as_it_was() -> None:
    assert "0 entries" in verify()
    write(3)
    assert "3 entries, each as it was written." in verify()


def test_what_is_undone_has_no_entry() -> None:
    write(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record(SYSTEM, "policy.changed", "policy:1")
        _ = 1 / 0
    write(1)
    assert list(AuditEntry.objects.values_list("seq", flat=True).order_by("seq")) == [1, 2]
    assert "2 entries" in verify()


def test_many_writers_at_once_make_one_order() -> None:
    def add(number: int) -> None:
        try:
            record(SYSTEM, "policy.changed", f"policy:{number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(30)))
    assert AuditEntry.objects.count() == 30
    assert "30 entries" in verify()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda rows: rows.filter(seq=2).update(detail={}), "entry 2: was altered"),
        (lambda rows: rows.filter(seq=2).delete(), "entry 3: 2 is missing before it"),
        (lambda rows: rows.filter(seq=4).delete(), "the log ends with 3"),
    ],
    ids=["altered", "removed", "the last removed"],
)
def test_harm_done_in_the_database_is_found(harm: Callable[..., object], words: str) -> None:
    write(4)
    harm(AuditEntry.objects)
    assert words in refused()


def test_a_tail_cut_off_with_its_count_is_found_by_the_heads_that_were_kept(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heads = tmp_path / "heads"
    settings.AUDIT_HEADS_FILE = str(heads)
    with caplog.at_level(logging.INFO, "chatbot.audit.log"):
        write(4)
    assert [line.split()[:3] for line in heads.read_text().splitlines()] == [
        ["audit", "head", str(number)] for number in range(1, 5)
    ]
    assert heads.read_text().splitlines() == [one.getMessage() for one in caplog.records]
    assert "4 heads" in verify("--heads", str(heads))
    AuditEntry.objects.filter(seq__gt=2).delete()
    last = AuditEntry.objects.get(seq=2)
    AuditHead.objects.update(seq=2, digest=last.digest)
    assert "2 entries" in verify()
    assert "entry 4: was written and is gone" in refused("--heads", str(heads))
    # The service goes on from there, and its new heads stand beside the old ones.
    write(2)
    assert "4 entries" in verify()
    told = refused("--heads", str(heads)).splitlines()
    assert told == [
        f"entry {number}: is not the one whose digest was kept elsewhere" for number in (3, 4)
    ]


def test_heads_that_are_none_are_refused(tmp_path: Path) -> None:
    refused("--heads", str(tmp_path / "nothing"))
    (tmp_path / "other").write_text("something else\n")
    refused("--heads", str(tmp_path / "other"))


def test_an_old_key_still_checks_what_it_signed(settings: Settings) -> None:
    write(2)
    settings.KEYRING = f"fresh:{'QUJD' * 10}QUI=,{settings.KEYRING}"
    write(2)
    assert set(AuditEntry.objects.values_list("key_id", flat=True)) == {"fresh", "test"}
    assert "4 entries" in verify()


def test_what_was_done_is_done_though_its_head_cannot_be_kept(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUDIT_HEADS_FILE = "/nowhere/heads"
    monkeypatch.setattr(logging.getLogger("chatbot.audit.log"), "handlers", [caplog.handler])
    record(SYSTEM, "something.done", "somebody")
    assert AuditEntry.objects.count() == 1
    assert "AUDIT_HEADS_FILE cannot be written: No such file or directory" in caplog.text
