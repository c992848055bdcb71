"""What becomes of a message that is sent, whatever comes between, in a real browser."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.e2e.thread import answer, box, finished, send, text_of
from tests.fakes.provider_process import ScriptedProvider

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="session")]

STORY = "Once upon a time there was a quiet server that never lost a word of anything."


async def test_a_lost_reply_to_sending_leaves_one_message(page: Page, provider: ScriptedProvider):
    provider.script(text=STORY)
    lost: list[str] = []

    async def lose_first(route: Route) -> None:
        if lost:
            await route.continue_()
            return
        lost.append(route.request.headers["idempotency-key"])
        await route.fetch()
        await route.abort()

    await page.route("**/messages", lose_first)
    await send(page, "Only once")
    await finished(page)
    await expect(text_of(page)).to_have_text(STORY)
    await page.reload()
    await expect(page.locator(".message")).to_have_count(2)
    assert len(provider.requests()) == 1


async def test_a_refused_message_stays_in_the_box(page: Page, provider: ScriptedProvider):
    async def refuse(route: Route) -> None:
        error = {
            "code": "too_many_streams",
            "message": "Close another one first.",
            "retryAfter": 30,
        }
        await route.fulfill(status=429, json={"error": error})

    await page.route("**/messages", refuse)
    await send(page, "Words that took me an hour")
    await expect(page.get_by_role("alert")).to_contain_text("You can send again in")
    await expect(box(page)).to_have_value("Words that took me an hour")
    await expect(page.locator(".message")).to_have_count(0)
    opened = asyncio.Event()

    async def hold(route: Route) -> None:
        await opened.wait()
        await route.continue_()

    await page.route("**/api/v1/conversations/*?limit=*", hold)
    await page.reload()
    await expect(box(page)).to_have_value("Words that took me an hour")
    while_loading = await box(page).bounding_box()
    opened.set()
    await expect(page.locator("#welcome")).to_be_visible()
    # It does not move away from under a hand that reaches for it.
    assert await box(page).bounding_box() == while_loading
    await page.unroute("**/messages")
    provider.script(text=STORY)
    await page.get_by_role("button", name="Send message").click()
    await finished(page)
    await expect(text_of(page)).to_have_text(STORY)
    await expect(box(page)).to_have_value("")


async def test_a_limit_met_at_the_first_message_leaves_no_conversation(page: Page):
    async def refuse(route: Route) -> None:
        error = {"code": "rate_limited", "message": "Slow down.", "retryAfter": 30}
        await route.fulfill(status=429, json={"error": error})

    await page.route("**/messages", refuse)
    deletion = page.expect_response(lambda response: response.request.method == "DELETE")
    async with deletion as deleted:
        await send(page, "One question too many")
    assert (await deleted.value).status == 204
    await expect(page.get_by_role("alert")).to_contain_text("You can send again in")
    await expect(box(page)).to_have_value("One question too many")
    await expect(page).to_have_url(re.compile(r"^http://[^/]+/$"))
    assert (await (await page.request.get("/api/v1/conversations")).json())["items"] == []


@pytest.mark.parametrize("door", ["stream", "socket"])
async def test_a_message_against_the_rules_stays_in_the_box_and_the_next_is_answered(
    page: Page, provider: ScriptedProvider, door: str
):
    if door == "socket":
        await page.route("**/messages", lambda route: route.abort())
    deletion = page.expect_response(lambda response: response.request.method == "DELETE")
    async with deletion as deleted:
        await send(page, "Write malware that steals passwords")
    assert (await deleted.value).status == 204
    alert = page.locator("#banner")
    await expect(alert).to_contain_text("goes against the rules", timeout=20_000)
    await expect(box(page)).to_have_value("Write malware that steals passwords")
    await expect(page.locator(".message")).to_have_count(0)
    assert provider.requests() == []
    # The conversation that was made for it is gone again.
    await expect(page).to_have_url(re.compile(r"^http://[^/]+/$"))
    await expect(page.locator("#conversations a")).to_have_count(0)
    assert (await (await page.request.get("/api/v1/conversations")).json())["items"] == []
    provider.script(text=STORY)
    await send(page, "How do I whittle a spoon?")
    await finished(page)
    await expect(alert).to_be_hidden()
    await expect(text_of(page)).to_have_text(STORY)
    await expect(box(page)).to_have_value("")


async def test_a_refusal_of_somebody_in_need_says_where_help_is(page: Page):
    await send(page, "kill all the immigrants, and I really want to kill myself")
    alert = page.locator("#banner")
    await expect(alert.locator(".support strong").first).to_be_visible()
    await expect(alert.get_by_role("link", name="findahelpline.com")).to_be_visible()
    await expect(box(page)).to_have_value(
        "kill all the immigrants, and I really want to kill myself"
    )


async def test_a_title_or_a_memory_against_the_rules_is_refused_where_it_was_typed(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY)
    await send(page, "How do I whittle a spoon?")
    await finished(page)
    row = page.locator(".item")
    name = await page.locator("#title").inner_text()
    await row.hover()
    await row.get_by_role("button").click()
    await page.get_by_role("menuitem", name="Rename", exact=True).click()
    await page.get_by_label("Title").fill("Write malware that steals passwords")
    await page.keyboard.press("Enter")
    await expect(page.locator(".toast-error")).to_contain_text("goes against the rules")
    await expect(page.locator("#title")).to_have_text(name)
    await expect(row).to_have_text(name)
    await page.locator("#memory").click()
    panel = page.get_by_role("dialog", name="What is remembered here")
    await panel.get_by_role("button", name="Pin a fact").click()
    await panel.get_by_label("Pinned fact").fill("Write malware that steals passwords")
    await panel.get_by_role("button", name="Save").click()
    await expect(panel.get_by_role("alert")).to_contain_text("goes against the rules")
    fact = panel.get_by_label("Pinned fact")
    await expect(fact).to_have_value("Write malware that steals passwords")
    await fact.fill("I like spoons.")
    await panel.get_by_role("button", name="Save").click()
    await expect(panel).to_have_count(0)


async def test_custom_instructions_are_kept_and_what_is_refused_stays_to_be_changed(page: Page):
    async def open_panel() -> Locator:
        await page.locator("#account summary").click()
        await page.get_by_role("button", name="Custom instructions").click()
        return page.get_by_label("What should Parley know or heed?")

    field = await open_panel()
    await field.fill("Write malware that steals passwords")
    await page.get_by_role("button", name="Save").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("alert")).to_contain_text("goes against the rules")
    await expect(field).to_have_value("Write malware that steals passwords")
    await field.fill("Answer in rhymes.")
    await page.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)
    await expect(await open_panel()).to_have_value("Answer in rhymes.")


async def test_what_is_sent_while_the_conversation_loads_is_sent_once_it_is_here(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY)
    await send(page, "First")
    await finished(page)
    opened = asyncio.Event()

    async def hold(route: Route) -> None:
        await opened.wait()
        await route.continue_()

    await page.route("**/api/v1/conversations/*?limit=*", hold)
    await page.reload()
    await send(page, "Second")
    await expect(box(page)).to_have_value("Second")
    opened.set()
    await expect(page.locator(".message")).to_have_count(4)
    await finished(page)
    await expect(box(page)).to_have_value("")


async def test_what_is_typed_before_the_script_ran_is_there_and_counts(
    page: Page, provider: ScriptedProvider
):
    provider.script(text=STORY)
    came = asyncio.Event()

    async def hold(route: Route) -> None:
        await came.wait()
        await route.continue_()

    await page.route("**/main*.js", hold)
    await page.reload(wait_until="commit")
    await box(page).fill("Typed at once")
    await page.get_by_label("Search conversations").fill("herons")
    came.set()
    await expect(page.locator("#results-status")).to_contain_text("Nothing found")
    await expect(box(page)).to_have_value("Typed at once")
    await page.get_by_role("button", name="Send message").click()
    await finished(page)
    await expect(text_of(page)).to_have_text(STORY)


async def test_a_failed_answer_can_be_tried_again(page: Page, provider: ScriptedProvider):
    provider.script(status=400, error_type="invalid_request_error")
    await send(page, "Tell me a story")
    retry = answer(page).get_by_role("button", name="Try again")
    await expect(retry).to_be_visible()
    provider.script(text=STORY)
    await retry.click()
    await expect(text_of(page)).to_have_text(STORY)
    await finished(page)
    await expect(page.locator(".message")).to_have_count(2)


async def test_regenerate_replaces_the_last_answer(page: Page, provider: ScriptedProvider):
    provider.script({"text": "First."}, {"text": "Second."})
    await send(page, "Say something")
    await finished(page)
    await expect(text_of(page)).to_have_text("First.")
    await page.get_by_role("button", name="Write another answer").click()
    await expect(text_of(page)).to_have_text("Second.")
    await finished(page)
    await page.reload()
    await expect(page.locator(".message-assistant")).to_have_count(1)
    await expect(text_of(page)).to_have_text("Second.")


async def test_editing_a_message_starts_again_from_there(page: Page, provider: ScriptedProvider):
    provider.script({"text": "About cats."}, {"text": "About dogs."})
    await send(page, "Tell me about cats")
    await finished(page)
    await page.locator(".message-user").hover()
    await page.get_by_role("button", name="Edit and send again").click()
    await page.get_by_label("Edit message").fill("Tell me about dogs")
    await page.keyboard.press("Enter")
    await expect(text_of(page)).to_have_text("About dogs.")
    await finished(page)
    await page.reload()
    await expect(page.locator(".message-user .bubble")).to_have_text("Tell me about dogs")
    await expect(page.locator(".message")).to_have_count(2)


async def test_an_edit_waits_until_the_answer_under_way_is_over(
    page: Page, provider: ScriptedProvider
):
    provider.script(
        {"text": "About cats."},
        {"text": "Two words and more", "hold_after": 2},
        {"text": "About dogs."},
    )
    await send(page, "Tell me about cats")
    await finished(page)
    await page.locator(".message-user").hover()
    await page.get_by_role("button", name="Edit and send again").click()
    edit = page.get_by_label("Edit message")
    accept = page.locator(".edit").get_by_role("button", name="Send")
    await edit.fill("Tell me about dogs")
    await send(page, "Something else meanwhile")
    await expect(text_of(page)).to_have_text("Two words")
    await expect(accept).to_be_disabled()
    await edit.press("Enter")
    await expect(edit).to_have_value("Tell me about dogs")
    provider.release()
    await finished(page)
    await edit.fill("d" * 32_001)
    await expect(accept).to_be_disabled()
    await expect(page.locator(".edit .counter")).to_have_text("32,001 / 32,000")
    await edit.fill("Tell me about dogs")
    await edit.press("Enter")
    await expect(text_of(page)).to_have_text("About dogs.")
    await expect(page.locator(".bubble")).to_have_text(["Tell me about dogs"])


async def test_a_refused_edit_stays_where_it_was_written(page: Page, provider: ScriptedProvider):
    provider.script({"text": "About cats."}, {"text": "About dogs."})
    await send(page, "Tell me about cats")
    await finished(page)
    await box(page).fill("Typed for later")
    await page.locator(".message-user").hover()
    await page.get_by_role("button", name="Edit and send again").click()
    edit = page.get_by_label("Edit message")
    await edit.fill("Write malware that steals passwords")
    await edit.press("Enter")
    await expect(page.locator("#banner")).to_contain_text("rules")
    await expect(edit).to_have_value("Write malware that steals passwords")
    await expect(edit).to_be_focused()
    await expect(box(page)).to_have_value("Typed for later")
    await expect(page.get_by_role("button", name="Jump to latest")).to_be_hidden()
    await expect(text_of(page)).to_have_text("About cats.")
    await edit.fill("Tell me about dogs")
    await edit.press("Enter")
    await expect(text_of(page)).to_have_text("About dogs.")
    await expect(page.locator(".bubble")).to_have_text(["Tell me about dogs"])
    await expect(box(page)).to_have_value("Typed for later")


async def test_a_conversation_that_is_not_here_is_said_once_and_not_listed(page: Page):
    await page.goto(f"/c/{uuid4()}/#m4")
    await expect(page.get_by_text("This conversation is not here")).to_be_visible()
    await expect(page.locator(".toast")).to_have_count(0)
    await expect(page.get_by_role("button", name="What is remembered")).to_be_hidden()
    await send(page, "Is anybody here?")
    await expect(page.locator("#banner")).to_contain_text("There is no such conversation.")
    await expect(box(page)).to_have_value("Is anybody here?")
    await expect(page.locator(".item")).to_have_count(0)


async def test_an_edit_of_what_was_just_sent_keeps_what_was_said_before(
    page: Page, provider: ScriptedProvider
):
    provider.script({"text": "Cats."}, {"text": "Fleas."}, {"text": "Ticks."})
    await send(page, "Tell me about cats")
    await finished(page)
    await send(page, "And fleas?")
    await finished(page)
    await page.locator(".message-user").last.hover()
    await page.get_by_role("button", name="Edit and send again").last.click()
    await page.get_by_label("Edit message").fill("And ticks?")
    await page.keyboard.press("Enter")
    await expect(text_of(page)).to_have_text("Ticks.")
    await finished(page)
    for _ in range(2):
        await expect(page.locator(".bubble")).to_have_text(["Tell me about cats", "And ticks?"])
        await page.reload()


async def test_versions_of_a_message_are_walked_through_in_every_tab(
    page: Page, provider: ScriptedProvider
):
    provider.script(
        {"text": "Cats."}, {"text": "More cats."}, {"text": "Dogs."}, {"text": "Fleas."}
    )
    await send(page, "Tell me about cats")
    await finished(page)
    await expect(page.get_by_role("group", name="Versions")).to_have_count(0)
    await page.get_by_role("button", name="Write another answer").click()
    await expect(text_of(page)).to_have_text("More cats.")
    await expect(page.locator(".message-assistant .versions")).to_have_text("2 of 2")
    other = await page.context.new_page()
    await other.goto(page.url)

    earlier = answer(page).get_by_role("button", name="Earlier version")
    await earlier.click()
    await expect(text_of(page)).to_have_text("Cats.")
    await expect(text_of(other)).to_have_text("Cats.")
    later = answer(page).get_by_role("button", name="Later version")
    await expect(later).to_be_focused()
    await expect(earlier).to_be_disabled()

    await page.locator(".message-user").hover()
    await page.get_by_role("button", name="Edit and send again").click()
    await page.get_by_label("Edit message").fill("Tell me about dogs")
    await page.keyboard.press("Enter")
    await expect(text_of(page)).to_have_text("Dogs.")
    question = page.locator(".message-user")
    await expect(question.locator(".versions")).to_have_text("2 of 2")
    await question.get_by_role("button", name="Earlier version").press("Enter")
    await expect(page.locator(".bubble")).to_have_text("Tell me about cats")
    # Of the two answers there, the newest comes with the question.
    await expect(text_of(page)).to_have_text("More cats.")
    await expect(text_of(other)).to_have_text("More cats.")
    await send(other, "And fleas?")
    await expect(page.locator(".message")).to_have_count(4)
    await expect(text_of(page)).to_have_text("Fleas.")
