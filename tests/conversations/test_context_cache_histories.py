"""Whatever happens to a conversation, and to what is cached of it, its prompts stay the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, settings as examples, strategies as st

from chatbot.accounts.instructions import write_instructions
from chatbot.accounts.models import User
from conversations.models import Conversation, Generation, Status
from conversations.pins import seal_facts
from conversations.prompts import Task, keep_context, load_task
from conversations.sealing import open_cipher, seal_column
from conversations.summaries import raise_version
from llm.catalog_file import load_catalog
from llm.tokens import Scale
from tests.conversations.memories import put_summary
from tests.conversations.talks import Talk, claimed, narrow_spec, same, without_cache
from tests.stores import Valkey

pytestmark = pytest.mark.django_db(transaction=True)

# Mostly the same model: a conversation changes it now and then.
LOCAL = narrow_spec(900)
# Of another family: it goes by no count of the local one, and has its own idea of scripts.
HOSTED = replace(
    next(spec for spec in load_catalog().models if not spec.is_local),
    context_window=1_100,
    answer_tokens=100,
    token_scale=Scale(0.9, 1.4),
)
WINDOWS = [LOCAL] * 6 + [HOSTED] * 2 + [narrow_spec(500), narrow_spec(2_500)]
ENDINGS = [Status.COMPLETE] * 7 + [Status.STOPPED, Status.FAILED, Status.HALTED]
# Sent far more often than anything else, so that windows fill.
STEPS = ["send"] * 14 + [
    *("edit", "edit_first", "regenerate", "lose", "finish_late"),
    *("instruct", "change_system", "pin", "sum_up", "correct"),
    *("expire", "put_back", "swap", "damage", "truncate"),
]


class Step(NamedTuple):
    """Something that happens; the numbers decide the rest of it."""

    what: str
    choice: int
    size: int


steps = st.lists(
    st.builds(Step, st.sampled_from(STEPS), st.integers(0, 999), st.integers(7, 120)),
    # Long enough for windows to be full before most of it happens.
    min_size=25,
    max_size=70,
)


class Course:
    """A conversation, and all that can happen to it."""

    def __init__(self, user: User, valkey: Valkey) -> None:
        self._user = user
        self.talk, self._other = Talk(user), Talk(user)
        self._redis = valkey.client()
        self._kept: list[bytes] = []
        self._late: list[tuple[Task, str]] = []
        self.sources: Counter[str] = Counter()
        self._other.turn("of another conversation", WINDOWS[0], parent=None)

    def close(self) -> None:
        self._redis.close()

    def send(self, step: Step) -> None:
        self._ask(step, self.talk.last)

    def edit(self, step: Step) -> None:
        answers = self.talk.answers
        self._ask(step, answers[step.choice % len(answers)] if answers else None)

    def edit_first(self, step: Step) -> None:
        self._ask(step, None)

    def regenerate(self, step: Step) -> None:
        if questions := self.talk.questions[-3:]:
            again = self.talk.answer_again(questions[step.choice % len(questions)])
            self._finish(self._load(again, step), step)

    def lose(self, step: Step) -> None:
        """A worker dies after its answer was stored: nothing is kept."""
        task = self._load(self.talk.ask("lost", parent=self.talk.last), step)
        self.talk.store(task, "what was seen", status=ENDINGS[step.choice % 10])

    def finish_late(self, step: Step) -> None:
        """A worker stands still after its answer was stored, and keeps it when others went on."""
        task = self._load(self.talk.ask("late", parent=self.talk.last), step)
        self.talk.store(task, "an answer kept late")
        self._late.append((task, "an answer kept late"))
        if step.choice % 2:
            keep_context(*self._late.pop(0))

    def instruct(self, step: Step) -> None:
        write_instructions(self._user, "Be brief. " * (step.choice % 4))

    def change_system(self, step: Step) -> None:
        text = "You are a poet. " * (step.choice % 5)
        conversation = self.talk.conversation
        sealed = seal_column(open_cipher(conversation), conversation.pk, "system_prompt", text)
        self._rows.update(system_prompt_sealed=sealed)

    def pin(self, step: Step) -> None:
        conversation = self._rows.get()
        facts = [f"Fact {number}" for number in range(step.choice % 4)]
        sealed = seal_facts(conversation, open_cipher(conversation), facts)
        raise_version(conversation, conversation.memory_version, pinned_facts_sealed=sealed)

    def sum_up(self, step: Step, *, corrected: bool = False) -> None:
        if answers := self.talk.answers[-12:]:
            covers = answers[step.choice % len(answers)]
            text = f"Up to {covers}. " * (step.size // 8)
            put_summary(self.talk.conversation, covers, text, is_corrected=corrected)

    def correct(self, step: Step) -> None:
        self.sum_up(step, corrected=True)

    def expire(self, _: Step) -> None:
        self._redis.delete(self._key(self.talk))

    def put_back(self, step: Step) -> None:
        """Somebody puts back what stood there at some time."""
        if self._kept:
            self._put(self._kept[step.choice % len(self._kept)])

    def swap(self, _: Step) -> None:
        self._put(self._entry(self._other))

    def damage(self, step: Step) -> None:
        if raw := self._entry(self.talk):
            place = step.choice * len(raw) // 1_000
            self._put(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])

    def truncate(self, step: Step) -> None:
        if raw := self._entry(self.talk):
            self._put(raw[: step.choice * len(raw) // 1_000])

    def _ask(self, step: Step, parent: int | None) -> None:
        text = f"{step.choice} " * step.size
        asked = self.talk.ask(
            text, parent=parent, tokens=step.size, wide=step.size * (step.choice % 3) // 3
        )
        self._finish(self._load(asked, step), step)

    def _load(self, generation: Generation, step: Step) -> Task:
        spec = WINDOWS[step.choice % 10]
        task = load_task(generation, spec)
        with without_cache():
            assert same(task, load_task(claimed(generation), spec))
        self.sources[task.past.source] += 1
        return task

    def _finish(self, task: Task, step: Step) -> None:
        status = ENDINGS[step.choice // 10 % 10]
        text = f"{step.size} " * step.size
        self.talk.finish(task, text, status=status, **self._size_answer(step))
        if raw := self._entry(self.talk):
            self._kept.append(raw)

    def _size_answer(self, step: Step) -> dict[str, Any]:
        """Return an answer's size: half of them are counted by whoever wrote them."""
        spec = WINDOWS[step.choice % 10]
        counted = step.size * (2 + step.choice % 3) // 3 if step.choice // 2 % 2 else None
        wide = step.size * (step.choice % 4) // 4
        return {"tokens": step.size, "wide": wide, "counted": counted, "model": spec.name}

    @property
    def _rows(self) -> QuerySet[Conversation]:
        return Conversation.objects.filter(pk=self.talk.conversation.pk)

    def _key(self, talk: Talk) -> str:
        return f"context:{{{talk.conversation.pk}}}"

    def _entry(self, talk: Talk) -> bytes:
        raw = self._redis.get(self._key(talk))
        return raw if isinstance(raw, bytes) else b""

    def _put(self, raw: bytes) -> None:
        self._redis.set(self._key(self.talk), raw)


@examples(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_each_prompt_is_byte_for_byte_what_it_would_be_without_a_cache(
    user: User, valkey: Valkey, steps: list[Step]
) -> None:
    course = Course(user, valkey)
    try:
        for step in steps:
            getattr(course, step.what)(step)
    finally:
        course.close()


def test_most_prompts_of_a_quiet_conversation_come_from_the_cache(
    user: User, valkey: Valkey
) -> None:
    course = Course(user, valkey)
    for number in range(40):
        course.send(Step("send", 10 * number % 70, 20))
    course.close()
    assert course.sources == {"database": 1, "cache": 39}
