"""The policy form: what holds is shown, what is wrong is refused in words, and nothing unseen holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from chatbot.accounts.models import User
from chatbot.audit.models import AuditEntry
from moderation.comparing import describe_changes
from moderation.models import PolicyVersion
from moderation.policies import publish, read_policy, set_policy
from moderation.policy import default_policy, parse_policy, read_default
from tests.desk.conftest import signed_in
from tests.factories import make_person

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/admin/desk/policy/"
NOTE = {"note": "Fewer false alarms."}


@pytest.fixture(autouse=True)
def shipped_policy() -> Iterator[None]:
    yield
    set_policy(None)


def fields_of(page: str) -> dict[str, str]:
    """Return what a browser would send of the page's form."""
    form = page[page.index('action="/admin/desk/policy/"') :]
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") != "checkbox" and "name" in attributes:
            found[attributes["name"]] = unescape(attributes.get("value", ""))
    for name, body in re.findall(r'<select[^>]*name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', body)
        first = re.search(r'<option value="([^"]*)"', body)
        option = chosen or first
        found[name] = option[1] if option else ""
    for name, body in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.S):
        # A browser ends lines as HTTP does.
        found[name] = "\r\n".join(unescape(body).strip().splitlines())
    return found


def open_form(client: Client, query: str = "") -> dict[str, str]:
    response = client.get(f"{PAGE}{query}")
    assert response.status_code == 200
    return fields_of(response.content.decode())


def row_of(fields: dict[str, str], *place: str) -> str:
    """Return the prefix of the row of a surface, category and plan."""
    for number in range(int(fields["form-TOTAL_FORMS"])):
        names = [fields[f"form-{number}-{one}"] for one in ("surface", "category", "plan")]
        if tuple(names) == place:
            return f"form-{number}"
    raise AssertionError(place)


def test_the_shipped_policy_is_shown_and_sent_back_changes_nothing(desk: Client) -> None:
    page = desk.post(PAGE, open_form(desk) | NOTE).content.decode()
    assert "Nothing: this is the policy that holds." in page
    assert not PolicyVersion.objects.exists()


def test_a_change_is_shown_first_and_then_holds(desk: Client, moderator: User) -> None:
    fields = open_form(desk) | NOTE
    row = row_of(fields, "input", "injection", "*")
    fields |= {f"{row}-flag": "0.6", "suspend_at": "8", "weight_hate": "2"}
    page = desk.post(PAGE, fields).content.decode()
    for line in (
        "input, injection, any: flag 0.5 → 0.6",
        "strikes: suspend_at 6 → 8",
        "weight of hate: as any → 2",
    ):
        assert line in page
    assert not PolicyVersion.objects.exists()
    # What was seen is what is published, and nothing else.
    seen = fields_of(page)
    other = desk.post(PAGE, seen | {"suspend_at": "9"})
    assert "suspend_at 6 → 9" in other.content.decode()
    assert not PolicyVersion.objects.exists()
    assert desk.post(PAGE, seen).status_code == 302
    new = PolicyVersion.objects.get()
    assert (new.version, new.author, new.note) == (1, f"user:{moderator.pk}", NOTE["note"])
    assert AuditEntry.objects.get().action == "policy.published"
    policy = read_policy()
    assert policy.limits["input", "injection", "*"].flag == 0.6
    assert policy.strikes.weight("hate") == 2
    assert policy.support_message == default_policy().support_message
    assert "Policy 1 holds." in desk.get(PAGE).content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flag": "0.95"}, "Limits rise from flag over strict to block"),
        ({"block": "7"}, "Limits rise from flag over strict to block"),
        ({"flag": "-1"}, "greater than or equal to 0"),
        ({"flag": "much"}, "Enter a number."),
        ({"surface": "output"}, "There are no limits for all categories of input"),
        ({"DELETE": "on"}, "There are no limits for all categories of input"),
        ({"half_life_days": "0"}, "half-life is not 0"),
        ({"slow_at": "7"}, "People are slowed before they are suspended"),
        ({"support_message": " "}, "This field is required."),
        ({"note": "because"}, "at least 10 characters"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_words(
    desk: Client, changes: dict[str, str], words: str
) -> None:
    fields = open_form(desk) | NOTE
    row = row_of(fields, "input", "*", "*")
    for name, value in changes.items():
        is_of_row = name in {"flag", "strict", "block", "surface", "DELETE"}
        fields[f"{row}-{name}" if is_of_row else name] = value
    response = desk.post(PAGE, fields)
    assert response.status_code == 400
    assert words in unescape(response.content.decode())
    assert not PolicyVersion.objects.exists()


def test_a_policy_that_was_published_meanwhile_is_not_overwritten(desk: Client) -> None:
    fields = fields_of(desk.post(PAGE, open_form(desk) | NOTE | {"slow_at": "4"}).content.decode())
    publish(read_default(), author="user:other", note="as shipped")
    response = desk.post(PAGE, fields)
    assert response.status_code == 409
    assert PolicyVersion.objects.count() == 1


def test_an_older_policy_is_brought_back(desk: Client) -> None:
    strikes = read_default()["strikes"]
    for number in (4, 5):
        data = {**read_default(), "strikes": {**strikes, "slow_at": number}}
        publish(data, author="user:other", note=f"slow at {number}")
    page = desk.get(PAGE).content.decode()
    assert "strikes: slow_at 4 → 5" in page
    assert "strikes: slow_at 3 → 4" in page
    for version, slow_at in ((1, 4), (0, 3)):
        fields = open_form(desk, f"?from={version}") | NOTE
        seen = fields_of(desk.post(PAGE, fields).content.decode())
        assert desk.post(PAGE, seen).status_code == 302
        assert read_policy().strikes.slow_at == slow_at
    assert PolicyVersion.objects.count() == 4
    for missing in ("9", "x", "-1", "9" * 10, "9" * 5_000):
        assert desk.get(f"{PAGE}?from={missing}").status_code == 404


def test_who_may_only_see_policies_publishes_none(db: None) -> None:
    viewer = make_person(is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_policyversion"))
    client = signed_in(viewer)
    page = client.get(PAGE).content.decode()
    assert "See what would change" not in page
    assert client.post(PAGE, fields_of(page) | NOTE).status_code == 403
    assert signed_in(make_person(is_staff=True)).get(PAGE).status_code == 403


def test_what_two_policies_do_otherwise_is_said_line_by_line() -> None:
    data = read_default()
    limits = [row for row in data["limits"] if row.get("category") != "profanity"]
    limits.append({"surface": "input", "plan": "pro", "flag": 0.3})
    anybody = next(row for row in limits if row["surface"] == "output" and "category" not in row)
    limits[limits.index(anybody)] = {"surface": "output", "flag": 0.21, "block": 0.8}
    changed = {**data, "limits": limits, "support_message": "Call somebody."}
    lines = describe_changes(default_policy(), parse_policy(changed, version=1))
    assert lines == [
        "comment, profanity, any: no limits of its own any more",
        "input, any, pro: new limits, flag 0.3, block never",
        "input, profanity, any: no limits of its own any more",
        "output, any, any: strict 0.5 → as block, block 0.9 → 0.8",
        "output, profanity, any: no limits of its own any more",
        "support message, now: Call somebody.",
    ]
    assert describe_changes(default_policy(), default_policy()) == []
