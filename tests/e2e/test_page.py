"""What a person sees and does on the page, in a real browser on the running product."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.thread import answer, box, finished, send, text_of
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

STORY = "Once upon a time there was a quiet server that never lost a word of anything."
WORDS = STORY.split(" ")


async def test_words_appear_while_they_are_written_and_stay(page: Page, provider: ScriptedProvider):
    provider.script(text=STORY, hold_after=4)
    await send(page, "Tell me a story")
    await expect(text_of(page)).to_have_text(" ".join(WORDS[:4]))
    await expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
    provider.release()
    await finished(page)
    await expect(text_of(page)).to_have_text(STORY)
    await expect(page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}/$"))
    await page.reload()
    await expect(text_of(page)).to_have_text(STORY)
    await expect(page.locator(".message-user .bubble")).to_have_text("Tell me a story")
    reason = page.locator(".message-reason")
    await expect(reason).to_have_text("only model here")
    await expect(reason).to_have_attribute("title", "No other kind of model is available here.")


async def test_a_reload_in_the_middle_goes_on_with_the_whole_text(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY, hold_after=4)
    await send(page, "Tell me a story")
    await expect(text_of(page)).to_have_text(" ".join(WORDS[:4]))
    await page.reload()
    await expect(text_of(page)).to_have_text(" ".join(WORDS[:4]))
    provider.release()
    await expect(text_of(page)).to_have_text(STORY)
    await expect(page.locator(".message")).to_have_count(2)


async def test_markdown_is_drawn_and_code_can_be_copied(page: Page, provider: ScriptedProvider):
    code = "def double(n):\n    return n * 2"
    provider.script(text=f"# Title\n\n- one\n- **two**\n\n```python\n{code}\n```\n\nEnd.")
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await send(page, "Show me code")
    await finished(page)
    await expect(text_of(page).get_by_role("heading", name="Title")).to_be_visible()
    await expect(text_of(page).locator("li")).to_have_count(2)
    await expect(text_of(page).locator("li strong")).to_have_text("two")
    await expect(text_of(page).locator(".hljs-keyword").first).to_have_text("def")
    await text_of(page).get_by_role("button", name="Copy code").click()
    await expect(text_of(page).get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == code


async def test_stop_keeps_the_text_so_far(page: Page, provider: ScriptedProvider):
    provider.script(text=STORY, hold_after=4)
    await send(page, "Tell me a story")
    await expect(text_of(page)).to_have_text(" ".join(WORDS[:4]))
    await page.get_by_role("button", name="Stop the answer").click()
    await expect(answer(page).get_by_text("Stopped", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="Send message")).to_be_visible()
    await page.reload()
    await expect(text_of(page)).to_have_text(" ".join(WORDS[:4]))
    await expect(answer(page).get_by_text("Stopped", exact=True)).to_be_visible()


async def test_markup_in_an_answer_is_inert(page: Page, provider: ScriptedProvider):
    attack = (
        'Hi <img src=x onerror="window.hit=1"> you\n\n<script>window.hit=2</script>\n\n'
        "[one](javascript:window.hit=3) [two](<java\tscript:window.hit=4>) "
        "![pixel](https://evil.invalid/p.png?words)\n\n"
        '<svg onload="window.hit=5"></svg>\n\n```html\n<script>window.hit=6</script>\n```\n\n'
        '```"><img src=x onerror=window.hit=7>\ncode\n```\n\nThe end.'
    )
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    provider.script(text=attack)
    await send(page, '<img src=x onerror="window.hit=8">')
    await finished(page)
    await expect(text_of(page)).to_contain_text('<img src=x onerror="window.hit=1">')
    await expect(text_of(page)).to_contain_text("<script>window.hit=2</script>")
    await expect(
        text_of(page).locator("img, script, svg:not(.icon), iframe, [onerror]")
    ).to_have_count(0)
    await expect(page.locator('.message a:not([href^="https://"])')).to_have_count(0)
    await page.reload()
    await expect(text_of(page)).to_contain_text("The end.")
    assert await page.evaluate("window.hit") is None
    assert not [url for url in fetched if "evil.invalid" in url]


async def test_a_lost_connection_ends_with_exactly_the_whole_text(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY, hold_after=4)
    await send(page, "Tell me a story")
    await expect(text_of(page)).to_have_text(" ".join(WORDS[:4]))
    await page.context.set_offline(True)
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await expect(answer(page).get_by_text("You are offline")).to_be_visible()
    await expect(text_of(page)).to_have_text(" ".join(WORDS[:4]))
    provider.release()
    await page.context.set_offline(False)
    await finished(page)
    await expect(text_of(page)).to_have_text(STORY)
    await expect(page.locator(".message")).to_have_count(2)


async def test_the_keyboard_is_enough(page: Page, provider: ScriptedProvider):
    provider.script(text=STORY, hold_after=4)
    await box(page).focus()
    await page.keyboard.type("one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    await expect(box(page)).to_have_value("one\ntwo")
    await page.keyboard.press("Enter")
    await expect(text_of(page)).to_have_text(" ".join(WORDS[:4]))
    await expect(page.locator(".message-user .bubble")).to_have_text("one\ntwo")
    await page.keyboard.press("Escape")
    await expect(answer(page).get_by_text("Stopped", exact=True)).to_be_visible()
    await expect(page.locator("#announcer")).to_have_text("Stopped.")
    await page.keyboard.press("Control+Shift+O")
    await expect(page.locator("#welcome")).to_be_visible()
    await expect(box(page)).to_be_focused()


async def test_reading_back_is_not_disturbed_by_new_words(page: Page, provider: ScriptedProvider):
    lines = "\n\n".join(f"Paragraph {number} of a long answer." for number in range(80))
    provider.script(chunks=[lines, "\n\nLast line."], hold_after=1)
    await send(page, "Write a lot")
    await expect(text_of(page)).to_contain_text("Paragraph 79")
    jump = page.get_by_role("button", name="Jump to latest")
    await expect(jump).to_be_hidden()
    await page.locator("#thread").hover()
    await page.mouse.wheel(0, -1200)
    await expect(jump).to_be_visible()
    place = await page.evaluate("document.getElementById('thread').scrollTop")
    provider.release()
    await finished(page)
    await expect(text_of(page)).to_contain_text("Last line.")
    assert await page.evaluate("document.getElementById('thread').scrollTop") == place
    await jump.click()
    await expect(text_of(page).get_by_text("Last line.")).to_be_in_viewport()


async def test_another_tab_shows_the_answer_too(page: Page, provider: ScriptedProvider):
    provider.script({"text": "Hello."}, {"text": STORY, "hold_after": 4})
    await send(page, "Hi")
    await finished(page)
    other = await page.context.new_page()
    async with other.expect_websocket():
        await other.goto(page.url)
    await expect(text_of(other)).to_have_text("Hello.")
    await send(page, "Tell me a story")
    await expect(text_of(other)).to_have_text(" ".join(WORDS[:4]))
    provider.release()
    await finished(other)
    await expect(text_of(other)).to_have_text(STORY)
    await finished(page)


async def test_the_list_of_models_is_asked_for_until_it_comes(
    page: Page, provider: ScriptedProvider
):
    asked = []

    async def fail_once(route: Route) -> None:
        asked.append(route.request.url)
        await (route.abort() if len(asked) == 1 else route.continue_())

    await page.wait_for_load_state("networkidle")
    await page.route("**/api/v1/models", fail_once)
    async with page.expect_response("**/api/v1/models"):
        await page.reload()
    assert len(asked) == 2


async def test_why_a_model_answered_is_told_though_the_list_comes_after_the_messages(
    page: Page, provider: ScriptedProvider
):
    provider.script(text="Fine.")
    await send(page, "Hello")
    await finished(page)
    drawn = asyncio.Event()

    async def hold(route: Route) -> None:
        await drawn.wait()
        await route.continue_()

    await page.route("**/api/v1/models", hold)
    await page.reload()
    reason = page.locator(".message-reason")
    await expect(reason).to_have_text("only model here")
    await expect(reason).to_have_attribute("title", "")
    drawn.set()
    await expect(reason).to_have_attribute("title", "No other kind of model is available here.")


async def test_an_answer_that_reached_its_length_says_so_after_a_reload_too(
    page: Page, provider: ScriptedProvider
):
    provider.script(text="Once upon a", stop_reason="max_tokens")
    await send(page, "Tell me a story")
    note = page.get_by_text("Reached the length limit")
    await expect(note).to_be_visible()
    await page.reload()
    await expect(text_of(page)).to_have_text("Once upon a")
    await expect(note).to_be_visible()
