"""Which messages come after one on a branch, which only its leaf can tell.

A message names the one before it, and most follow the message written just before: only an edit,
another answer to the same question, or a new beginning leaves that run. Such a fork is all that
has to be known to go along a branch in the direction in which it was written, and an index of
nothing but forks has them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from uuid import UUID

from chatbot.core.prepared import PreparedSelect
from conversations.models import Message
from conversations.models.message import IS_FORK

# A fork: its seq, and that of the message it follows; a new beginning follows none.
Fork = tuple[int, int | None]
# The messages from one seq to another, both included, each following the one before.
Run = tuple[int, int]

_forks = PreparedSelect(
    lambda at: (
        Message.objects.filter(
            IS_FORK, conversation_id=at.conversation, seq__gt=at.after, seq__lte=at.leaf
        )
        .order_by("seq")
        .values_list("seq", "parent_seq")
    ),
    conversation=UUID,
    after=int,
    leaf=int,
)


def read_runs(conversation_id: UUID, *, after: int, leaf: int | None) -> list[Run] | None:
    """Return the runs of a branch after one of its messages, in the order of the branch.

    None when that message does not stand on the branch which ends with `leaf`. Costs one range
    of the index of forks, however many messages there are.
    """
    if leaf is None or after > leaf:
        return None
    forks = _forks.tuples(conversation=conversation_id, after=after, leaf=leaf)
    return find_runs([(seq, parent) for seq, parent in forks], after=after, leaf=leaf)


def find_runs(forks: Sequence[Fork], *, after: int, leaf: int) -> list[Run] | None:
    """As `read_runs`, from the forks after a message up to the leaf, in order."""
    runs, end = _descend(forks, leaf)
    if end < after:
        return None
    if end > after:
        runs.append((after + 1, end))
    return runs[::-1]


def find_on_branch(conversation_id: UUID, places: Iterable[int], *, leaf: int | None) -> set[int]:
    """Return which of these messages stand on the branch that ends with `leaf`.

    Costs one range of the index of forks, however many they are.
    """
    wanted = set(places)
    if leaf is None or not wanted:
        return set()
    # What forks at the first of them, or before it, does not change whether that one stands here.
    lowest = min(wanted)
    forks = _forks.tuples(conversation=conversation_id, after=lowest, leaf=leaf)
    runs, end = _descend([(seq, parent) for seq, parent in forks], leaf)
    runs.append((lowest, end))
    return {place for place in wanted if any(start <= place <= last for start, last in runs)}


def read_siblings(
    conversation_id: UUID, parents: Sequence[int | None], *, last: int
) -> dict[int | None, list[int]]:
    """Return what follows each of these messages where that is more than one, in order.

    `last` is the newest message of the conversation, on whichever branch. Costs one range of the
    index of forks.
    """
    if not parents:
        return {}
    lowest = min(parent or 0 for parent in parents)
    forks = _forks.tuples(conversation=conversation_id, after=lowest, leaf=last)
    return find_siblings([(seq, parent) for seq, parent in forks], parents)


def find_siblings(
    forks: Sequence[Fork], parents: Iterable[int | None]
) -> dict[int | None, list[int]]:
    """As `read_siblings`, from the forks after the first of these messages, in order."""
    followers: dict[int | None, list[int]] = {}
    for seq, parent in forks:
        followers.setdefault(parent, []).append(seq)
    starts = {seq for seq, _ in forks}
    found: dict[int | None, list[int]] = {}
    for parent in parents:
        others = followers.get(parent)
        if not others:
            continue
        # The message written just after one follows it, unless it is a fork itself.
        next_seq = (parent or 0) + 1
        siblings = others if next_seq in starts else [next_seq, *others]
        if len(siblings) > 1:
            found[parent] = siblings
    return found


def read_newest_beneath(conversation_id: UUID, seq: int, *, last: int) -> int:
    """Return the newest of a message and of all that follows it, on whichever branch.

    `last` is the newest message of the conversation. Costs one range of the index of forks.
    """
    forks = _forks.tuples(conversation=conversation_id, after=seq, leaf=last)
    return find_newest_beneath([(one, parent) for one, parent in forks], seq, last=last)


def find_newest_beneath(forks: Sequence[Fork], seq: int, *, last: int) -> int:
    """As `read_newest_beneath`, from the forks after the message, in order."""
    ends = [start - 1 for start, _ in forks] + [last]
    beneath: list[Run] = [(seq, ends[0])]
    for (start, parent), end in zip(forks, ends[1:], strict=True):
        place = bisect_right(beneath, parent or 0, key=lambda run: run[0]) - 1
        if place >= 0 and (parent or 0) <= beneath[place][1]:
            beneath.append((start, end))
    return beneath[-1][1]


def _descend(forks: Sequence[Fork], leaf: int) -> tuple[list[Run], int]:
    """Return the runs that begin with a fork, from the leaf down, and where the rest ends."""
    runs: list[Run] = []
    seqs = [seq for seq, _ in forks]
    end, place = leaf, len(seqs)
    while (place := bisect_right(seqs, end, hi=place)) > 0:
        place -= 1
        start, parent = forks[place]
        runs.append((start, end))
        end = parent or 0
    return runs, end


def count_messages(runs: Iterable[Run]) -> int:
    return sum(end - start + 1 for start, end in runs)


def seq_at(runs: Iterable[Run], number: int) -> int | None:
    """Return the seq of the message of this number, from 1; None when there are not so many."""
    for start, end in runs:
        if number <= end - start + 1:
            return start + number - 1
        number -= end - start + 1
    return None
