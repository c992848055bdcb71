"""A long conversation on the page: found, read in both directions, and gone on with."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.conftest import OpenPage, sign_up
from tests.e2e.long_talk import NAME, write_at
from tests.e2e.thread import answer, box, finished, send, text_of
from tests.fakes.provider_process import ScriptedProvider
from tests.live import ServeProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

PLACES = """() => [...document.querySelectorAll('#messages > .message')]
  .map((one) => Number(/message (\\d+)/.exec(one.textContent)?.[1] ?? 0))"""
SETTLED = "() => document.querySelectorAll('.older.is-loading').length === 0"


async def begin_long_talk(page: Page, live: ServeProcess, messages: int) -> None:
    """Leave the page at a message near the beginning of a long conversation."""
    email = await page.locator("#chat").get_attribute("data-user-email")
    write_at(live, str(email), messages=messages)
    await page.reload()
    await page.get_by_label("Search conversations").fill(NAME)
    await page.locator(".result").click()
    await expect(message(page, 12)).to_be_focused()


def message(page: Page, number: int) -> Locator:
    return page.locator(".message").filter(has_text=re.compile(rf"message {number}\b"))


def jump(page: Page) -> Locator:
    return page.get_by_role("button", name="Jump to latest")


async def places(page: Page) -> list[int]:
    found: list[int] = await page.evaluate(PLACES)
    return found


async def top_of(page: Page, number: int) -> float:
    shown = await message(page, number).bounding_box()
    assert shown is not None
    return shown["y"]


async def scroll_to_edge(page: Page, *, end: bool) -> None:
    """Scroll as far as there is, and return once more has come."""
    before = await page.locator(".message").count()
    await page.evaluate(
        "(end) => { const box = document.getElementById('thread');"
        " box.scrollTop = end ? box.scrollHeight : 0; }",
        end,
    )
    await page.wait_for_function(
        "(before) => document.querySelectorAll('.message').length > before", arg=before
    )
    await page.wait_for_function(SETTLED)


async def test_a_message_far_back_opens_in_its_place_and_leads_to_the_newest(
    page: Page, live: ServeProcess, provider: ScriptedProvider
):
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "?limit=40" in one.url else None)
    await begin_long_talk(page, live, 500)
    await expect(message(page, 12)).to_be_in_viewport()
    await expect(page).to_have_url(re.compile("#m12$"))
    await expect(jump(page)).to_be_visible()
    assert len(asked) <= 3
    seen = await places(page)
    while seen[-1] < 500:
        await scroll_to_edge(page, end=True)
        seen = await places(page)
        assert seen == [*range(seen[0], seen[-1] + 1)]
    assert seen == [*range(1, 501)]
    await page.reload()
    await expect(message(page, 12)).to_be_focused()
    await jump(page).click()
    await expect(message(page, 500)).to_be_in_viewport()
    await expect(jump(page)).to_be_hidden()
    await expect(page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}/$"))
    provider.script(text="Small animals with a smile.")
    await send(page, "What are they?")
    await finished(page)
    await expect(text_of(page)).to_have_text("Small animals with a smile.")
    assert (await places(page))[-3:] == [500, 0, 0]


async def test_what_comes_above_does_not_move_what_is_read(page: Page, live: ServeProcess):
    await begin_long_talk(page, live, 400)
    await jump(page).click()
    await expect(message(page, 400)).to_be_in_viewport()
    for _ in range(3):
        first = (await places(page))[0]
        top = await page.evaluate(
            "() => { document.getElementById('thread').scrollTop = 500;"
            " return document.querySelector('.message').getBoundingClientRect().top; }"
        )
        await expect(message(page, first - 1)).to_be_attached()
        await page.wait_for_function(SETTLED)
        assert abs(await top_of(page, first) - top) < 2
    seen = await places(page)
    assert seen == [*range(seen[0], 401)]


async def test_sending_from_far_back_stands_at_the_end(
    page: Page, live: ServeProcess, provider: ScriptedProvider
):
    await begin_long_talk(page, live, 400)
    provider.script(text="Yes.")
    await send(page, "Is this the end?")
    await finished(page)
    await expect(text_of(page)).to_be_in_viewport()
    seen = await places(page)
    assert seen[-2:] == [0, 0]
    assert seen[:-2] == [*range(seen[0], 401)]


@pytest.mark.slow
async def test_what_could_not_be_sent_from_far_back_is_in_the_box_again(
    page: Page, live: ServeProcess
):
    await begin_long_talk(page, live, 400)
    await page.context.set_offline(True)
    await send(page, "Is anybody there?")
    await expect(box(page)).to_have_value("Is anybody there?")
    await expect(message(page, 12)).to_be_visible()
    await page.context.set_offline(False)


async def test_an_edit_far_back_ends_the_conversation_there(
    page: Page, live: ServeProcess, provider: ScriptedProvider
):
    await begin_long_talk(page, live, 400)
    provider.script(text="An answer to the edit.")
    await message(page, 13).hover()
    await message(page, 13).get_by_role("button", name="Edit and send again").click()
    await page.get_by_label("Edit message").fill("Something else instead")
    await page.keyboard.press("Enter")
    await finished(page)
    await expect(text_of(page)).to_have_text("An answer to the edit.")
    assert await places(page) == [*range(1, 13), 0, 0]
    await page.goto(page.url.split("#")[0])
    await expect(text_of(page)).to_have_text("An answer to the edit.")
    assert await places(page) == [*range(1, 13), 0, 0]


@pytest.mark.slow
async def test_an_answer_goes_on_while_its_reader_looks_far_back(
    page: Page, live: ServeProcess, provider: ScriptedProvider
):
    await begin_long_talk(page, live, 400)
    provider.script(text="one two three four five six", hold_after=3)
    await send(page, "Count")
    await expect(text_of(page)).to_have_text("one two three")
    await page.locator(".result").click()
    await expect(message(page, 12)).to_be_focused()
    await expect(page.get_by_text("one two three")).to_have_count(0)
    await jump(page).click()
    await expect(text_of(page)).to_have_text("one two three")
    await expect(answer(page)).to_have_attribute("aria-busy", "true")
    await page.locator(".result").click()
    await expect(message(page, 12)).to_be_focused()
    provider.release()
    await expect(page.get_by_role("button", name="Stop the answer")).to_be_hidden()
    assert 0 not in await places(page)
    await jump(page).click()
    await expect(text_of(page)).to_have_text("one two three four five six")
    assert (await places(page))[-3:] == [400, 0, 0]


@pytest.mark.slow
async def test_what_was_left_by_an_edit_elsewhere_gives_way(
    page: Page, live: ServeProcess, provider: ScriptedProvider
):
    await begin_long_talk(page, live, 400)
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(message(other, 12)).to_be_focused()
    provider.script(text="Changed.")
    await message(other, 11).hover()
    await message(other, 11).get_by_role("button", name="Edit and send again").click()
    await other.get_by_label("Edit message").fill("Something else instead")
    await other.keyboard.press("Enter")
    await finished(other)
    await page.evaluate(
        "const box = document.getElementById('thread'); box.scrollTop = box.scrollHeight"
    )
    await expect(page.get_by_text("What you were reading was changed elsewhere")).to_be_visible()
    await expect(text_of(page)).to_have_text("Changed.")
    assert await places(page) == [*range(1, 11), 0, 0]


async def test_the_list_has_the_pinned_ones_first_however_old(
    open_page: OpenPage, live: ServeProcess
):
    page = await sign_up(await open_page(viewport={"width": 1280, "height": 800}))
    email = str(await page.locator("#chat").get_attribute("data-user-email"))
    live.manage("shell", "-c", f"from tests.e2e.long_talk import list_many; list_many({email!r})")
    await page.reload()
    items = page.locator(".item")
    await expect(items.first).to_have_text("Pinned long ago")
    while await items.count() < 101:
        await page.evaluate(
            "const box = document.getElementById('list-scroll'); box.scrollTop = box.scrollHeight"
        )
        await page.wait_for_timeout(50)
    titles = await items.all_text_contents()
    assert [one.strip() for one in titles[1:]] == [f"Talk {n}" for n in range(100)]
