"""What the documentation of the API says of every call: who may make it, and how it is refused.

Refusals never pass through ninja, which would make a model of its own for each status of each
call: that took a sixth of the time in which a process starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from chatbot.core.errors import ChatError
from conversations.api.schemas import ErrorBody

_REFERENCE = "#/components/schemas/{model}"
_BEARER = {"type": "http", "scheme": "bearer", "description": "A token of `manage.py createtoken`."}
_SESSION = {"type": "apiKey", "in": "cookie", "name": "sessionid"}


def complete_schema(schema: dict[str, Any]) -> None:
    """Add to an OpenAPI schema what holds for all of its operations."""
    components = schema["components"]
    error = ErrorBody.model_json_schema(mode="serialization", ref_template=_REFERENCE)
    components["schemas"] |= {**error.pop("$defs"), ErrorBody.__name__: error}
    components["securitySchemes"] = {"bearer": _BEARER, "session": _SESSION}
    schema["security"] = [{"bearer": []}, {"session": []}]
    refusals = _describe_refusals()
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"] = {**refusals, **operation["responses"]}


def _describe_refusals() -> dict[int, dict[str, Any]]:
    """Return the responses of all typed errors by their status, with the codes in words."""
    body = {"schema": {"$ref": _REFERENCE.format(model=ErrorBody.__name__)}}
    codes: dict[int, set[str]] = {}
    for error in _errors_from(ChatError):
        codes.setdefault(error.status, set()).add(error.code)
    return {
        status: {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(sorted(codes[status]))}",
            "content": {"application/json": body},
        }
        for status in sorted(codes)
    }


def _errors_from(error: type[ChatError]) -> Iterator[type[ChatError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _errors_from(kind)
