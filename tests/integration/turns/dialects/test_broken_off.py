"""What goes wrong in the middle of an answer is tried as often in every mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley.runner.model_faults import TRIES
from parley_testing.models.dialects import completion, events, refusing, responding, response, said
from parley_testing.models.server import Raw, Said, Streamed

from .conftest import Conversation


def reset(which: str) -> Any:
    """Make an answer of which less comes than was announced."""

    def step(asked: Any) -> Any:
        if asked.streamed:
            return Streamed("Half a", end="cut")
        return Raw(200, json.dumps(response(said("Half a"))).encode(), cut=True)

    return step


async def test_a_connection_that_breaks_is_asked_again(
    conversation: Conversation, which: str
) -> None:
    conversation.script(reset(which), Said("A whole one."))

    view = await conversation.say()

    assert view.reply is not None
    assert view.reply.content == "A whole one."
    assert len(conversation.server.asked) == 2
    resets = [event for event in conversation.events if event.type == "message.reset"]
    assert len(resets) == (1 if conversation.streamed else 0)


async def test_one_that_always_breaks_is_asked_as_often_in_every_mode(
    conversation: Conversation, which: str
) -> None:
    conversation.script(*[reset(which)] * 5)

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert len(conversation.server.asked) == TRIES


def breaking(which: str, error: Any) -> Any:
    """Make a failure that comes in an answer with status 200."""
    if which == "responses":
        return responding(response(status="failed", error=error))
    told = events({"error": error})
    whole = completion({}, choices=None, error=error)
    return lambda asked: told if asked.streamed else whole


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded", 503, "overloaded_error"])
async def test_a_failure_in_an_answer_is_as_one_by_status(
    conversation: Conversation, which: str, code: Any
) -> None:
    conversation.script(breaking(which, {"code": code, "message": "Sorry."}), Said("Now."))

    view = await conversation.say()

    assert view.reply is not None
    assert view.reply.content == "Now."


@pytest.mark.parametrize("code", ["invalid_prompt", "insufficient_quota", 401])
async def test_one_that_does_not_pass_is_not_asked_again(
    conversation: Conversation, which: str, code: Any
) -> None:
    conversation.script(breaking(which, {"code": code, "message": "No."}))

    view = await conversation.say()

    assert (view.turn.error_code, len(conversation.server.asked)) == ("model_failed", 1)


async def test_by_status_as_often(conversation: Conversation) -> None:
    conversation.script(*[refusing(503, {"error": {"message": "Loading model"}})] * 5)

    view = await conversation.say()

    assert (view.turn.error_code, len(conversation.server.asked)) == ("model_failed", TRIES)
