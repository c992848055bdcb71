from __future__ import annotations

import orjson
import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import RequestFactory

from chatbot.failed import answer_failure


def answer(path: str, failure: Exception) -> HttpResponse:
    try:
        raise failure
    except type(failure):
        return answer_failure(RequestFactory().get(path))


@pytest.mark.parametrize(
    ("failure", "status", "code", "words"),
    [
        (OperationalError(), 503, "unavailable", "Back in a moment"),
        (LookupError(), 500, "internal_error", "Something went wrong on our side"),
    ],
)
def test_a_failure_is_answered_in_the_language_of_the_address(
    failure: Exception, status: int, code: str, words: str
) -> None:
    page, call = answer("/c/x/", failure), answer("/api/v1/me", failure)
    assert page.status_code == call.status_code == status
    assert words in page.content.decode()
    assert orjson.loads(call.content)["error"]["code"] == code
    assert page.headers.get("Retry-After") == call.headers.get("Retry-After")
