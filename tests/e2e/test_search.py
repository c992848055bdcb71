"""Searching what was said, from the page, in a real browser on the running product."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.conftest import OpenPage, sign_up
from tests.e2e.thread import finished, send
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

LONG = "\n\n".join(f"Paragraph {number} about nothing in particular." for number in range(60))


async def look_for(page: Page, text: str) -> None:
    await page.get_by_label("Search conversations").fill(text)


async def until_found(page: Page, text: str) -> None:
    """Search until what was just said is in the index, some seconds later."""
    for _ in range(20):
        await look_for(page, "")
        # The same text again is no new search, unless the end of the last one was seen.
        await expect(page.locator("#results-status")).to_be_hidden()
        async with page.expect_response(re.compile(r"\?q=")):
            await look_for(page, text)
        await expect(page.locator("#results-status")).not_to_have_text("Searching…")
        if await page.locator(".result").count():
            return
        await page.wait_for_timeout(500)
    raise AssertionError(f"{text} was not found")


async def test_a_message_is_found_and_shown_in_its_place(page: Page, provider: ScriptedProvider):
    provider.script(text=f"Herons wade <b>here</b>.\n\n{LONG}")
    await send(page, "Which birds were wading in the marsh?")
    await finished(page)
    provider.script(text=LONG)
    await send(page, "Thank you")
    await finished(page)
    await page.get_by_role("link", name="New chat").first.click()
    await expect(page.locator("#welcome")).to_be_visible()
    await until_found(page, "heron wad")
    result = page.locator(".result")
    await expect(result).to_have_count(1)
    assert await result.locator("mark").all_text_contents() == ["Herons", "wade"]
    # Markup in a message is text.
    await expect(result.locator(".result-text")).to_contain_text("<b>here</b>")
    await page.keyboard.press("ArrowDown")
    await expect(result).to_be_focused()
    await page.keyboard.press("Enter")
    shown = page.locator(".message").nth(1)
    await expect(shown).to_be_focused()
    await expect(shown).to_have_class(re.compile("is-found"))
    await expect(page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}/#m2$"))
    await page.reload()
    await expect(shown).to_be_focused()
    await look_for(page, "wading")
    await expect(result).not_to_have_count(0)


async def test_a_search_says_how_it_goes(page: Page):
    async def hold(route: Route) -> None:
        await expect(page.get_by_text("Still searching…")).to_be_visible()
        await route.abort()

    await page.route(re.compile(r"\?q="), hold)
    await look_for(page, "anything")
    await expect(page.get_by_text("The search could not be sent")).to_be_visible()
    await page.unroute(re.compile(r"\?q="))
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_text("Nothing found.")).to_be_visible()
    await look_for(page, "?!")
    await expect(page.get_by_text("Nothing found.")).to_be_visible()
    await look_for(page, "")
    await expect(page.get_by_text("Your conversations will be kept here.")).to_be_visible()


async def test_results_fit_on_a_phone(open_page: OpenPage, provider: ScriptedProvider):
    page = await sign_up(await open_page(viewport={"width": 360, "height": 640}))
    provider.script(text="An answer about " + "lighthouses" * 12 + " and foghorns.")
    await send(page, "Where are the foghorns?")
    await finished(page)
    await page.get_by_role("button", name="Open conversations").click()
    await until_found(page, "foghorn")
    await expect(page.locator(".result")).not_to_have_count(0)
    wide = "[...document.querySelectorAll('#sidebar, #list-scroll, .result')]"
    assert not await page.evaluate(f"{wide}.some((one) => one.scrollWidth > one.clientWidth)")
    await page.locator(".result").first.click()
    await expect(page.locator("#backdrop")).to_be_hidden()
