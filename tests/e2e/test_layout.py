"""How the page lies on a phone, in a low window, and for text in both directions."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.e2e.conftest import OpenPage, sign_up
from tests.e2e.thread import finished, send, text_of
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]


async def is_scrolled_sideways(page: Page) -> bool:
    return bool(
        await page.evaluate(
            "[document.documentElement, document.getElementById('thread')]"
            ".some((one) => one.scrollWidth > one.clientWidth)"
        )
    )


async def test_a_phone_never_scrolls_sideways(open_page: OpenPage, provider: ScriptedProvider):
    wide = (
        "x" * 400
        + "\n\n```\n"
        + "y" * 400
        + "\n```\n\n| "
        + " | ".join(["a long column"] * 9)
        + " |\n|"
        + "---|" * 9
        + "\n| "
        + " | ".join(["z" * 30] * 9)
        + " |"
    )
    page = await open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    await page.goto("/accounts/login/")
    width = "document.documentElement.scrollWidth"
    assert await page.evaluate(width) == 390
    await sign_up(page)
    assert not await is_scrolled_sideways(page)
    provider.script(text=wide)
    await send(page, "w" * 300)
    await finished(page)
    assert not await is_scrolled_sideways(page)
    sidebar = page.get_by_role("navigation", name="Conversations")
    await expect(sidebar).to_be_hidden()
    await page.get_by_role("button", name="Open conversations").click()
    await expect(sidebar).to_be_visible()
    await sidebar.get_by_role("link", name="New chat").click()
    await expect(sidebar).to_be_hidden()
    await expect(page.locator("#welcome")).to_be_visible()


async def test_each_paragraph_is_read_in_its_own_direction(page: Page, provider: ScriptedProvider):
    provider.script(
        text="Emet means:\n\nאמת, לא שקר.\n\n1. אמת\n2. לא\n\n```python\nprint('אמת')\n```\n"
    )
    await send(page, "אמת\nHello")
    await finished(page)
    direction = "(one) => getComputedStyle(one).direction"
    blocks = text_of(page).locator(".md-block")
    assert await blocks.evaluate_all(f"(all) => all.map({direction})") == ["ltr", "rtl", "rtl"]
    code = text_of(page).locator(".code-block")
    assert await code.evaluate(direction) == "ltr"
    # A line of the question that is read from the left begins at the left.
    starts = await page.locator(".bubble").evaluate(
        """(bubble) => {
          const line = document.createRange();
          line.setStart(bubble.firstChild, 4);
          line.setEnd(bubble.firstChild, 5);
          return line.getBoundingClientRect().left - bubble.getBoundingClientRect().left;
        }"""
    )
    padding = await page.locator(".bubble").evaluate(
        "(one) => parseFloat(getComputedStyle(one).paddingLeft)"
    )
    assert abs(starts - padding) < 2


async def test_small_windows_reach_the_whole_menu_and_the_whole_greeting(page: Page):
    await page.set_viewport_size({"width": 640, "height": 400})
    await page.get_by_role("button", name="Open conversations").click()
    await page.locator("#account summary").click()
    menu = page.locator(".account-menu")
    box_of_menu = await menu.bounding_box()
    assert box_of_menu is not None
    assert box_of_menu["y"] >= 0
    await menu.get_by_role("button", name="Sign out").scroll_into_view_if_needed()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="New chat").last.click()
    assert await page.locator("#thread").evaluate("(one) => one.scrollTop") == 0
