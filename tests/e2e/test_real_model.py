"""The whole product as a person meets it: a real browser, a real server, a real model."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.conftest import pages_of, sign_up
from tests.e2e.thread import answer, finished, send, text_of
from tests.live import ServeProcess

# Slow, and what a small model happens to say may be halted: reloads and restarts are tested with
# scripted answers too, and the real model over HTTP.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.model,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
]

QUESTION = "Tell me a story about a lighthouse keeper and her dog."
# A thousand tokens of a small model, on a core that others use too.
ANSWER_MS = 180_000
# While the answer is being written, the length of what is shown once that is above `least`.
LENGTH_WHILE_WRITING = """least => {
  const answer = [...document.querySelectorAll(".message-assistant")].at(-1);
  if (answer?.getAttribute("aria-busy") !== "true") return false;
  const length = answer.querySelector(".md").textContent.length;
  return length > least && length;
}"""


async def see_growth(page: Page, *, beyond: int) -> int:
    """Wait until more than `beyond` characters are shown of an answer that is not finished."""
    grown = await page.wait_for_function(LENGTH_WHILE_WRITING, arg=beyond, timeout=30_000)
    return int(await grown.json_value())


async def read_stored(page: Page) -> list[dict[str, Any]]:
    """Return the messages of the open conversation, from the API, as this person."""
    found = re.search(r"/c/([0-9a-f-]{36})/$", page.url)
    assert found is not None
    response = await page.request.get(f"/api/v1/conversations/{found[1]}")
    messages: list[dict[str, Any]] = (await response.json())["messages"]
    return messages


async def test_a_story_survives_a_reload_and_a_restart(browser: Browser, tmp_path: Path):
    server = ServeProcess({"ANTHROPIC_API_KEY": "", "LOCAL_MODEL_URL": ""}, data_dir=tmp_path)
    await asyncio.to_thread(server.start)
    try:
        async with pages_of(browser, server.url) as open_page:
            page = await sign_up(await open_page())
            await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            await send(page, QUESTION)
            first = await see_growth(page, beyond=0)
            second = await see_growth(page, beyond=first)

            await page.reload()
            after_reload = await see_growth(page, beyond=second)
            await see_growth(page, beyond=after_reload)
            await expect(answer(page)).to_have_attribute("aria-busy", "false", timeout=ANSWER_MS)

            question, stored = await read_stored(page)
            assert question["content"] == QUESTION
            assert stored["status"] == "complete"
            await answer(page).hover()
            await answer(page).get_by_role("button", name="Copy answer").click()
            assert await page.evaluate("navigator.clipboard.readText()") == stored["content"]
            shown = await text_of(page).inner_html()

            assert await asyncio.to_thread(server.stop) == 0
            await asyncio.to_thread(server.start)
            await page.reload()
            await finished(page)
            await expect(page.locator(".message")).to_have_count(2)
            await expect(page.locator(".message-user .bubble")).to_have_text(QUESTION)
            # Drawn at once from the store, it looks as it did when it was drawn word by word.
            assert await text_of(page).inner_html() == shown
            assert await read_stored(page) == [question, stored]
            await expect(page.locator(".item")).to_have_count(1)
    finally:
        await asyncio.to_thread(server.stop)
