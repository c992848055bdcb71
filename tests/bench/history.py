"""A very long conversation read page by page, from anywhere in it: how long that takes.

    .venv/bin/python -m tests.services .venv/bin/python manage.py bench_context history

There are two: one without edits, to which an edit of its beginning is added in the end, and one
of which every twentieth answer was written again, so that the branch shown forks that often.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from django.db import connection
from django.utils import timezone

from chatbot.accounts.models import User
from conversations.history import PageRequest
from conversations.memory import read_page
from conversations.models import Conversation, Generation, Message, Role, Status
from conversations.models.generation import State
from conversations.sealing import open_cipher, seal_message
from tests.bench.listing import fill
from tests.bench.paging import PageRow, PagesResult, measure
from tests.bench.plans import complaints
from tests.bench.search import WORDS_OF, Writer, settle_database
from tests.conversations.rows import branch_of
from tests.factories import make_conversation, make_person

# As the page asks for.
LIMIT = 40
BATCH = 2_000
WRITTEN_AGAIN = 20
# Conversations besides, so that finding the one is a search too.
OTHERS = 1_000

# Of a message: the seq of the one it follows, and who wrote it.
Line = tuple[int | None, Role]


def write_script(messages: int, *, again: int | None = None) -> list[Line]:
    """Return a conversation's messages; of `again` answers one is written a second time."""
    script: list[Line] = []
    last: int | None = None
    turn = 0
    while len(script) < messages:
        turn += 1
        question = len(script) + 1
        answers = 2 if again and turn % again == 0 else 1
        script += [(last, Role.USER), *[(question, Role.ASSISTANT)] * answers]
        last = len(script)
    return script[:messages]


def middle_of(script: Sequence[Line]) -> list[int]:
    """Return the middle fifth of the branch that ends with the last message."""
    branch = branch_of([parent for parent, _ in script])
    return branch[len(branch) * 2 // 5 : len(branch) * 3 // 5]


def grow(conversation: Conversation, script: Sequence[Line]) -> Iterator[int]:
    """Write messages after those that are there, with the generations of their answers.

    Yields how many each step added. The last message becomes the leaf.
    """
    writer = Writer(1)
    texts = {role: [writer.write(words) for _ in range(50)] for role, words in WORDS_OF.items()}
    for begin in range(0, len(script), BATCH):
        rows = _messages(conversation, script[begin : begin + BATCH], texts)
        answers = [one for one in rows if one.role == Role.ASSISTANT]
        Message.objects.bulk_create(rows)
        Generation.objects.bulk_create(_generation(conversation, one) for one in answers)
        conversation.active_leaf = rows[-1].seq
        conversation.next_seq = rows[-1].seq + 1
        conversation.save(update_fields=["active_leaf", "next_seq"])
        yield len(rows)


def _messages(
    conversation: Conversation, script: Sequence[Line], texts: dict[Role, list[str]]
) -> list[Message]:
    cipher = open_cipher(conversation)
    return [
        Message(
            conversation=conversation,
            seq=seq,
            parent_seq=parent,
            role=role,
            status=Status.COMPLETE,
            token_count=2 * WORDS_OF[role],
            content_sealed=seal_message(cipher, conversation.pk, seq, texts[role][seq % 50]),
        )
        for seq, (parent, role) in enumerate(script, conversation.next_seq)
    ]


def _generation(conversation: Conversation, answer: Message) -> Generation:
    now = timezone.now()
    return Generation(
        conversation=conversation,
        user_id=conversation.user_id,
        answer_seq=answer.seq,
        answer_id=answer.id,
        idempotency_key=str(answer.id),
        request_digest="",
        requested_model="auto",
        state=State.COMPLETED,
        budget_month=now.date().replace(day=1),
        search_due=False,
        finished=now,
    )


class Reader:
    """Reads pages of one conversation as its owner; `shown` are some places of the branch."""

    def __init__(self, conversation: Conversation, name: str, shown: Sequence[int]) -> None:
        self._conversation = conversation
        self._name = name
        self._shown = shown
        self._random = random.Random(1)  # noqa: S311

    def pages(self) -> dict[str, Callable[[], PageRequest]]:
        def place() -> int:
            return self._random.choice(self._shown)

        return {
            "newest": lambda: PageRequest(LIMIT),
            "before one in the middle": lambda: PageRequest(LIMIT, before=place()),
            "after one in the middle": lambda: PageRequest(LIMIT, after=place()),
            "around one in the middle": lambda: PageRequest(LIMIT, around=place()),
            "around the first": lambda: PageRequest(LIMIT, around=1),
        }

    def measure(self, rounds: int) -> Iterator[PageRow]:
        for page, request in self.pages().items():
            ms = measure(lambda: self._read(request()), rounds)  # noqa: B023
            yield PageRow(self._name, page, ms)

    def complaints(self, forks: int) -> Iterator[str]:
        """Yield what is wrong with the plans, where no more than `forks` forks are looked at."""
        for page, request in self.pages().items():
            asked = request()
            for what in complaints(lambda: self._read(asked), most_rows=forks + LIMIT + 1):  # noqa: B023
                yield f"{self._name}, {page}: {what}"

    def _read(self, request: PageRequest) -> None:
        found = read_page(self._conversation.user_id, self._conversation.pk, request)
        if not found["messages"]:
            raise LookupError("An empty page was measured.")


def run_history_benchmark(
    *, messages: int, rounds: int = 100, told: Callable[[int], object] = lambda _: None
) -> PagesResult:
    """Fill the configured database for a new person and read; nothing is cleaned up."""
    user = make_person()
    for _ in fill(user, OTHERS):
        pass
    script, edited_script = write_script(messages), write_script(messages, again=WRITTEN_AGAIN)
    plain = _grown(user, script, told)
    edited = _grown(user, edited_script, told)
    settle_database()
    forks = messages // (2 * WRITTEN_AGAIN)
    readers = [
        (Reader(plain, "no edits", middle_of(script)), 0),
        (Reader(edited, f"{forks:,} edits", middle_of(edited_script)), forks),
    ]
    rows: list[PageRow] = []
    plans: list[str] = []
    for reader, most in readers:
        rows += reader.measure(rounds)
        plans += reader.complaints(most)
    # An edit of the second question: the branch shown is two old messages, and 60 new ones.
    tail = [(2, Role.USER), *_talk(first=messages + 1, length=59)]
    for _ in grow(plain, tail):
        pass
    last = Reader(plain, "an edit at its beginning", [2, messages + 30])
    rows += last.measure(rounds)
    plans += last.complaints(1)
    what = f"pages of {LIMIT} of {messages:,} messages"
    return PagesResult(what, connection.vendor, tuple(rows), tuple(plans))


def _talk(*, first: int, length: int) -> list[Line]:
    roles = [Role.ASSISTANT, Role.USER]
    return [(first + n, roles[n % 2]) for n in range(length)]


def _grown(user: User, script: Sequence[Line], told: Callable[[int], object]) -> Conversation:
    conversation = make_conversation(user)
    for added in grow(conversation, script):
        told(added)
    return conversation
