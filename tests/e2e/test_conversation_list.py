"""The list of conversations: found, renamed, pinned, put away, deleted."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.thread import finished, send, text_of
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

STORY = "Once upon a time there was a quiet server that never lost a word of anything."


async def test_conversations_can_be_found_renamed_pinned_and_deleted(
    page: Page, provider: ScriptedProvider
):
    provider.script(text="Fine.")
    await send(page, "How are you")
    await finished(page)
    row = page.locator(".item")
    await expect(row).to_have_count(1)

    async def choose(action: str) -> None:
        await row.hover()
        await row.get_by_role("button").click()
        await page.get_by_role("menuitem", name=action, exact=True).click()

    await choose("Rename")
    await page.get_by_label("Title").fill("A better name")
    await page.keyboard.press("Enter")
    await expect(page.locator("#title")).to_have_text("A better name")
    await choose("Pin")
    await expect(page.get_by_role("heading", name="Pinned")).to_be_visible()
    await page.reload()
    await expect(row).to_have_text("A better name")
    await page.get_by_label("Search conversations").fill("nothing like it")
    await expect(page.get_by_text("Nothing found.")).to_be_visible()
    await page.get_by_label("Search conversations").fill("bett")
    await expect(page.locator(".result mark")).to_have_text("better")
    await page.keyboard.press("Escape")
    await choose("Delete")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)
    await expect(page.locator("#welcome")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_text("This conversation is not here")).to_be_visible()


async def test_a_title_goes_on_being_typed_when_the_list_is_drawn_anew(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY)
    await send(page, "Tell me a story")
    await finished(page)
    row = page.locator("#conversations .item").first
    await row.get_by_role("button", name=re.compile("Options for")).click()
    await page.get_by_role("menuitem", name="Rename").click()
    title = row.get_by_role("textbox", name="Title")
    await title.fill("The quiet")
    # Another conversation is begun elsewhere, and stands above this one.
    made = await page.evaluate(
        """async () => {
          const token = document.querySelector('meta[name="csrf-token"]').content;
          const headers = {"content-type": "application/json", "x-csrftoken": token};
          const asked = {method: "POST", headers, body: '{"title": "Another"}'};
          return (await fetch("/api/v1/conversations", asked)).status;
        }"""
    )
    assert made == 201
    items = page.locator("#conversations .item")
    await expect(items).to_have_count(2)
    await page.keyboard.type(" server")
    await page.keyboard.press("Enter")
    await expect(items.nth(1)).to_have_text("The quiet server")
    await page.reload()
    await expect(items.nth(1)).to_have_text("The quiet server")


async def test_a_conversation_is_put_away_and_brought_back(page: Page, provider: ScriptedProvider):
    provider.script(text="Fine.")
    await send(page, "How are you")
    await finished(page)
    row = page.locator(".item")
    dialog = page.get_by_role("dialog", name="Archived conversations")

    async def put_away() -> None:
        await row.hover()
        await row.get_by_role("button").click()
        await page.get_by_role("menuitem", name="Archive", exact=True).click()
        await expect(row).to_have_count(0)

    async def look() -> None:
        await page.locator("#account summary").click()
        await page.get_by_role("button", name="Archived conversations").click()

    await put_away()
    await expect(page.locator(".toast")).to_have_text("Archived. The account menu has it.")
    await page.reload()
    await expect(page.get_by_text("Your conversations will be kept here.")).to_be_visible()
    await look()
    await dialog.get_by_role("button", name="Bring back").click()
    await expect(dialog.get_by_text("Nothing is archived.")).to_be_visible()
    await expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(row).to_have_count(1)

    await put_away()
    await page.get_by_role("link", name="New chat").first.click()
    await look()
    await dialog.get_by_role("link").click()
    await expect(text_of(page)).to_have_text("Fine.")
    await send(page, "And now?")
    await expect(row).to_have_text("How are you")


async def test_by_keyboard_the_focus_stays_in_the_list_when_a_conversation_goes(
    page: Page, provider: ScriptedProvider
):
    provider.script(text="Fine.")
    for question in ("First", "Second", "Third"):
        await page.get_by_role("link", name="New chat").first.click()
        await send(page, question)
        await finished(page)
    rows = page.locator(".item-link")
    await expect(rows).to_have_text(["Third", "Second", "First"])
    await page.get_by_role("button", name="Options for Second").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await page.get_by_role("dialog").get_by_role("button", name="Delete").press("Enter")
    await expect(rows).to_have_text(["Third", "First"])
    await expect(rows.last).to_be_focused()
