from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from chatbot.core.tasks import spawn


async def test_a_failure_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise LookupError("what went wrong")

    task = spawn(fail(), name="the cleaner")
    await asyncio.wait([task])
    # The log line is written by a callback, which runs after the task's own end.
    await asyncio.sleep(0)
    (record,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert "the cleaner" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


async def test_being_cancelled_is_not_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(asyncio.Event().wait(), name="waits for ever")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert task.cancelled()
    assert not caplog.records


async def test_the_result_can_be_awaited() -> None:
    async def answer() -> int:
        return 42

    assert await spawn(answer(), name="answer") == 42


async def test_a_task_that_nothing_refers_to_is_kept_alive() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        # A future that only this task knows: without another reference both are garbage.
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(gc.collect)
        asyncio.get_running_loop().call_later(0.01, waiting.set_result, None)
        await waiting
        ended.set()

    assert spawn(work(), name="forgotten").get_name() == "forgotten"
    gc.collect()
    async with asyncio.timeout(10):
        await ended.wait()
