"""A round: many schedules at once against one cluster, the faults between them, and the verdict."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.faults.checker import Violation, check_answer
from tests.faults.cluster import Account, Cluster
from tests.faults.doors import Client
from tests.faults.excuses import may_fail
from tests.faults.holdings import Holdings, Moment, find_excess, settle
from tests.faults.people import Person, rival_tag
from tests.faults.plan import Fault, Round
from tests.faults.record import Answer, Stored, StoredGeneration
from tests.faults.trouble import Trouble

# Many share the cost of a round's dead processes, and its waits.
ROUND_SCHEDULES = 80
# Whoever still waits by then waits forever.
PATIENCE_S = 90.0


@dataclass(slots=True)
class Tally:
    """What was done, and what was broken."""

    rounds: int = 0
    schedules: int = 0
    answers: int = 0
    readers: int = 0
    connections: int = 0
    events: int = 0
    retries: int = 0
    attempts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    # Those that were scheduled, and those of them that met something; by kind.
    faults: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    # The most that a process of each kind held after a round.
    descriptors: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def add_answer(self, answer: Answer, stored: Stored) -> None:
        self.answers += 1
        self.retries += answer.retries
        self.readers += len(answer.lives)
        self.ends.update(one.state for one in stored.generations)
        self.attempts += sum(one.attempt for one in stored.generations)
        for life in answer.lives:
            self.connections += len(life.connections)
            self.events += sum(len(connection.events) for connection in life.connections)

    def add_moment(self, moment: Moment) -> None:
        for name, held in {"driver": moment.driver, **moment.servers}.items():
            kind = name.rstrip("0123456789")
            self.descriptors[kind] = max(self.descriptors.get(kind, 0), held.descriptors)

    def add_plan(self, plan: Round) -> None:
        self.rounds += 1
        self.schedules += len(plan.schedules)
        self.faults.update(fault.kind for fault in plan.faults)
        for schedule in plan.schedules:
            for answer in schedule.answers:
                for fault in answer.provider_faults:
                    kind = next(iter(fault))
                    self.faults[f"answer {fault['status'] if kind == 'status' else kind}"] += 1

    def add_struck(self, faults: Mapping[str, int], answer_faults: Mapping[str, int]) -> None:
        self.struck.update(faults)
        self.struck.update({f"answer {kind}": count for kind, count in answer_faults.items()})


@dataclass(slots=True)
class Arena:
    """A cluster and the people in it, round after round."""

    cluster: Cluster
    session: aiohttp.ClientSession
    accounts: list[Account]
    began: Holdings

    @classmethod
    async def open(cls, cluster: Cluster, *, people: int) -> Arena:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        accounts = await cluster.inspector.make_people("reader", people)
        return cls(cluster, session, accounts, Holdings.of_driver())

    async def aclose(self) -> None:
        await self.session.close()

    async def enter(self, count: int, *, name: str) -> list[Person]:
        """Return people with a new conversation each."""
        accounts = [self.accounts[number % len(self.accounts)] for number in range(count)]
        users = [account.user for account in accounts]
        conversations = await self.cluster.inspector.call("open_conversations", users=users)
        return [
            Person(
                Client(self.session, self.cluster.urls, account.headers),
                account.user,
                conversation,
                f"{name}-{number}",
            )
            for number, (account, conversation) in enumerate(
                zip(accounts, conversations, strict=True)
            )
        ]

    async def run(self, plan: Round, tally: Tally) -> list[Answer]:
        """Live through a round and judge it; the violations go to the tally."""
        people = await self.enter(len(plan.schedules), name=f"r{plan.seed}")
        scripts = {
            f"{person.name}-{number}": answer.course()
            for person, schedule in zip(people, plan.schedules, strict=True)
            for number, answer in enumerate(schedule.answers)
        }
        rivals = {rival_tag(tag): course[-1:] for tag, course in scripts.items()}
        provider = self.cluster.provider
        await asyncio.to_thread(provider.script_tags, {**scripts, **rivals})
        trouble = Trouble(self.cluster)
        async with asyncio.TaskGroup() as group:
            for fault in plan.faults:
                group.create_task(trouble.make(fault))
            for person, schedule in zip(people, plan.schedules, strict=True):
                group.create_task(_follow_patiently(person, schedule))
        tally.add_plan(plan)
        tally.add_struck(trouble.struck, await asyncio.to_thread(provider.struck))
        answers = [answer for person in people for answer in person.answers]
        tally.violations += await self.judge(people, answers, tally, plan.faults)
        return answers

    async def judge(
        self, people: list[Person], answers: list[Answer], tally: Tally, faults: Sequence[Fault]
    ) -> list[Violation]:
        inspector = self.cluster.inspector
        conversations = [person.conversation_id for person in people]
        rows = await inspector.call("read_conversations", conversations=conversations)
        violations = []
        calls = await asyncio.to_thread(self.cluster.provider.tags)
        for answer in answers:
            asked, scripted = calls.get(answer.tag, 0), answer.scripted_faults
            answer.may_fail = may_fail(faults, calls=asked, scripted=scripted)
            stored = _stored(rows, answer.tag)
            tally.add_answer(answer, stored)
            violations += check_answer(answer, stored)
        violations += await self._check_leftovers()
        violations += await self._check_holdings(tally)
        return violations

    async def _check_holdings(self, tally: Tally) -> list[Violation]:
        pids = {server.name: server.pid for server in self.cluster.production.servers}
        moment = await settle(self.began, pids)
        tally.add_moment(moment)
        return [
            Violation("nothing is held when all have gone", name, sentence)
            for name, sentences in find_excess(self.began, moment).items()
            for sentence in sentences
        ]

    async def _check_leftovers(self) -> list[Violation]:
        found = []
        leftovers = await self.cluster.inspector.call("read_leftovers")
        for what, promise in (
            ("active", "nothing runs when all have ended"),
            ("reserved", "no reservation is left behind"),
            ("uneven", "budget and ledger agree"),
            ("uncharged", "what an answer used is in the ledger"),
        ):
            if leftovers[what]:
                found.append(Violation(promise, "all", str(leftovers[what])))
        for server in self.cluster.production.servers:
            if not server.is_alive:
                found.append(Violation("no process dies by itself", server.name, "it did"))
                await asyncio.to_thread(server.start)
        totals = await asyncio.to_thread(self.cluster.provider.totals)
        if totals["mismatched"]:
            promise = "a model goes on from its own words"
            found.append(Violation(promise, "all", f"{totals['mismatched']} did not"))
        await asyncio.to_thread(self.cluster.provider.reset)
        return found


async def _follow_patiently(person: Person, schedule: Any) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await person.follow(schedule)
    except TimeoutError:
        # What is missing in the record is found by the checker.
        return


def _stored(rows: dict[str, Any], tag: str) -> Stored:
    generations = [StoredGeneration(**one) for one in rows["generations"].get(tag, [])]
    return Stored(generations, rows["questions"].get(tag, 0))


def describe(violations: list[Violation], answers: list[Answer], *, each: int = 2) -> str:
    """Return the violations, and the records of the first answers that broke each promise."""
    tags: dict[str, list[str]] = {}
    for violation in violations:
        tags.setdefault(violation.promise, []).append(violation.tag)
    shown = {tag for broken in tags.values() for tag in broken[:each]}
    parts = [str(violation) for violation in violations]
    parts += [answer.describe() for answer in answers if answer.tag in shown]
    return "\n".join(parts)
