"""What a person sees and does on the page, in a real browser on the running product."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.e2e.conftest import OpenPage, sign_up
from tests.e2e.thread import answer, box, finished, send, text_of
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]


STORY = "Once upon a time there was a quiet server that never lost a word of anything."


WORDS = STORY.split(" ")


ACCOUNT_PAGES = [
    "email/",
    "password/change/",
    "2fa/",
    "reauthenticate/",
    "password/reset/",
    "logout/",
]


async def is_scrolled_sideways(page: Page) -> bool:
    return bool(
        await page.evaluate(
            "[document.documentElement, document.getElementById('thread')]"
            ".some((one) => one.scrollWidth > one.clientWidth)"
        )
    )


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


async def test_the_chosen_appearance_is_kept(page: Page):
    await page.locator("#account summary").click()
    await page.get_by_label("Dark", exact=True).check(force=True)
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.reload()
    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"


async def test_account_pages_obey_the_content_policy(page: Page):
    for path in ACCOUNT_PAGES:
        answered = await page.goto(f"/accounts/{path}")
        assert answered is not None
        assert answered.status == 200
        await expect(page.get_by_role("heading", level=1)).to_be_visible()


async def test_signing_out_and_in_again_shows_the_conversations(
    page: Page, provider: ScriptedProvider
):
    provider.script(text="Fine.")
    await send(page, "How are you")
    await finished(page)
    await page.locator("#account summary").click()
    email = await page.locator(".account-email").inner_text()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password", exact=True).fill("a-long-and-quiet-password")
    await page.get_by_role("button", name="Sign in").click()
    await page.locator(".item-link").first.click()
    await expect(text_of(page)).to_have_text("Fine.")


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


async def test_an_account_is_deleted_only_by_who_types_its_address(
    page: Page, provider: ScriptedProvider
):
    provider.script(text="Something to lose.")
    await send(page, "Hello")
    await finished(page)
    email = await page.locator(".account-email").inner_text()
    await page.locator("#account summary").click()
    exported = page.get_by_role("link", name="Export everything")
    async with page.expect_download() as download:
        await exported.click()
    assert (await download.value).suggested_filename == "parley-export.json"

    await page.get_by_role("button", name="Delete account…").click()
    dialog = page.get_by_role("dialog", name="Delete your account?")
    confirm = dialog.get_by_role("button", name="Delete everything")
    await expect(confirm).to_be_disabled()
    await dialog.get_by_role("textbox").fill("somebody@else.example")
    await expect(confirm).to_be_disabled()
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(text_of(page)).to_have_text("Something to lose.")

    await page.locator("#account summary").click()
    await page.get_by_role("button", name="Delete account…").click()
    await dialog.get_by_role("textbox").fill(email)
    await confirm.click()
    await expect(page).to_have_url(re.compile("/accounts/login/"))
    assert (await page.request.get("/api/v1/me")).status == 401


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
