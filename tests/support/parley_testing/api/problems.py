"""What every error looks like."""

from __future__ import annotations

from typing import Any

from parley_testing.api.handlers import Answer


def problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """Return the problem document, after seeing that it is whole and says this."""
    assert (answer.status, answer.json.get("code")) == (status, code), answer
    document: dict[str, Any] = answer.json
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == status
    assert document["type"] == "about:blank"
    assert all(document[member] for member in ("title", "detail", "request_id"))
    return document


def wrong_fields(answer: Answer) -> list[str]:
    """Return the names of the fields that could not be taken."""
    return [fault["field"] for fault in problem(answer, 422, "invalid_field")["errors"]]
