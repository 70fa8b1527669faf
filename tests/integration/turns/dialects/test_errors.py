"""What servers say of a conversation that is too long, or of an answer that a filter holds back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parley_testing.models.dialects import alike, completion, events, refusing, responding, response
from parley_testing.models.server import Said

from .conftest import Conversation

OVERFLOW = {
    "code": "context_length_exceeded",
    "message": "Your input exceeds the context window of this model.",
    "type": "invalid_request_error",
}
FILTERED = {"code": "content_filter", "message": "The response was filtered."}


def by_status(which: str, error: Any) -> Any:
    return refusing(400, {"error": error})


def in_the_response(which: str, error: Any) -> Any:
    """A response that failed, or a completion without choices."""
    if which == "responses":
        return responding(response(status="failed", error=error))
    whole = completion({}, choices=[], error=error)
    return lambda asked: events({"error": error}) if asked.streamed else whole


def in_the_stream(which: str, error: Any) -> Any:
    """An error event; without a stream there is none, and the response fails."""
    failed = in_the_response(which, error)
    told = events({**error, "type": "error"}) if which == "responses" else events({"error": error})
    return lambda asked: told if asked.streamed else failed(asked)


ENVELOPES = pytest.mark.parametrize("envelope", [by_status, in_the_response, in_the_stream])
Envelope = Callable[[str, Any], Any]


@ENVELOPES
async def test_half_of_the_past_is_shown_whatever_the_envelope(
    conversation: Conversation, which: str, envelope: Envelope
) -> None:
    conversation.script(Said("one"), Said("two"), envelope(which, OVERFLOW), Said("three"))
    await conversation.say("1")
    await conversation.say("2")

    view = await conversation.say("3")

    assert view.turn.status == "completed", view.turn.error_detail
    said = [item["content"] for item in conversation.last_input if item["role"] == "user"]
    assert said == ["2", "3"]


@ENVELOPES
async def test_what_a_filter_holds_back_has_one_code(
    conversation: Conversation, which: str, envelope: Envelope
) -> None:
    conversation.script(envelope(which, FILTERED))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "content_filtered")


@pytest.mark.parametrize("text", ["", "Half a"])
async def test_an_answer_that_ends_by_a_filter_has_it_too(
    conversation: Conversation, which: str, text: str
) -> None:
    if which == "responses":
        why = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
        conversation.script(responding(response(**why)))
    else:
        conversation.script(alike({"content": text}, "content_filter"))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "content_filtered")
