"""SDKs are imported where a call is made, and by nobody else."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: this one has imported them long since.
SCRIPT = """
import asyncio, sys
from llm.providers.sdks import import_sdk

def imported():
    return {"anthropic", "openai"} & set(sys.modules)

import chatbot.celery, chatbot.asgi, llm.conf
assert not imported(), imported()

async def ask():
    first, second = (asyncio.ensure_future(import_sdk("openai")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert imported() == {"openai"}

asyncio.run(ask())
"""


def test_nothing_but_a_call_imports_them_and_one_that_gives_up_spoils_it_for_nobody() -> None:
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
