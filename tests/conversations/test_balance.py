from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from chatbot.accounts.budgets import month_of, reserve_tokens
from chatbot.accounts.ledger import record_calls
from chatbot.accounts.models import BudgetPeriod, LedgerEntry, Purpose, User
from chatbot.audit.models import AuditEntry
from conversations import balance
from conversations.balance import Balance, mend, read_balances
from conversations.claims import claim_waiting
from conversations.generations import Outcome
from conversations.models import State
from llm.pricing import Call
from llm.types import Usage
from tests.conversations.rows import finish_claim, queue_generation
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)

CALL = Call("m", "p", Usage(10, 20, 5, 1), 7, is_metered=True, ending="finished")


def uneven() -> list[Balance]:
    return [one for _, some in read_balances() for one in some]


def answer_once(user: User) -> None:
    queue_generation(user)
    (claim,) = claim_waiting("one", 1)
    finish_claim(claim, Outcome(State.COMPLETED, "Hello", 5, calls=(CALL,)))


def check(*arguments: str) -> str:
    said = StringIO()
    call_command("checkbudgets", *arguments, stdout=said, stderr=StringIO())
    return said.getvalue()


def test_what_was_done_in_order_is_even(user: User) -> None:
    answer_once(user)
    queue_generation(user)
    record_calls(make_person(), Purpose.TITLE, [CALL])
    assert uneven() == []
    assert check() == "people: 2, budgets that differ: 0\n"


def test_a_difference_is_told_and_ends_with_an_error(user: User) -> None:
    answer_once(user)
    BudgetPeriod.objects.update(spent=F("spent") + 3, reserved=8)
    with pytest.raises(CommandError, match="budgets that differ: 1, left as they are: 1") as caught:
        check()
    assert caught.value.returncode == 1
    (found,) = uneven()
    assert str(found).startswith(f"{user.pk} {timezone.now():%Y-%m}: ")
    assert "reserved 8 instead of 0, spent 39 instead of 36" in str(found)


def test_mending_sets_what_is_reserved_and_spent(user: User) -> None:
    answer_once(user)
    queue_generation(user)
    BudgetPeriod.objects.update(spent=1, reserved=8)
    assert "(mended)" in check("--mend")
    period = BudgetPeriod.objects.get()
    assert (period.reserved, period.spent) == (1_000, 36)
    told = AuditEntry.objects.get()
    assert (told.actor, told.action) == ("command line", "budget.mended")
    assert told.subject == f"user:{user.pk}"
    assert (told.detail["reserved"], told.detail["spent"]) == ([8, 1_000], [1, 36])
    assert check("--mend") == "people: 1, budgets that differ: 0\n"


def test_a_month_that_was_deleted_is_made_again(user: User) -> None:
    answer_once(user)
    queue_generation(user)
    BudgetPeriod.objects.all().delete()
    assert "all mended" in check("--mend")
    period = BudgetPeriod.objects.get()
    assert (period.reserved, period.spent, period.limit) == (1_000, 36, 1_000_000)


def test_people_are_looked_at_some_at_a_time(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance, "PEOPLE_AT_ONCE", 2)
    people = [user, *(make_person() for _ in range(4))]
    for person in people:
        reserve_tokens(person, 10, now=timezone.now())
    assert [number for number, _ in read_balances()] == [2, 2, 1]
    assert [one.user_id for one in uneven()] == [person.pk for person in people]
    check("--mend")
    assert uneven() == []


def test_a_person_who_is_gone_is_no_difference(user: User) -> None:
    answer_once(user)
    found = Balance(user.pk, month_of(timezone.now()), should_be_spent=36)
    user.delete()
    assert uneven() == []
    assert mend(found)
    assert not BudgetPeriod.objects.exists()


def test_mending_beside_answers_that_end_leaves_everything_even(user: User) -> None:
    """Answers begin and end while another thread mends what keeps being put out of step."""
    answers, together = 25, threading.Barrier(2, timeout=30)
    is_over = threading.Event()

    def serve() -> None:
        together.wait()
        try:
            for _ in range(answers):
                answer_once(user)
        finally:
            is_over.set()
            connection.close()

    def put_right() -> int:
        together.wait()
        mended = 0
        try:
            while not is_over.is_set():
                BudgetPeriod.objects.update(spent=F("spent") + 1)
                mended += sum(mend(one) for one in uneven())
        finally:
            connection.close()
        return mended

    with ThreadPoolExecutor(2) as threads:
        serving, mending = threads.submit(serve), threads.submit(put_right)
        serving.result()
        assert mending.result() > 0
    check("--mend")
    period = BudgetPeriod.objects.get()
    assert (period.reserved, period.spent) == (0, answers * 36)
    assert LedgerEntry.objects.count() == answers
