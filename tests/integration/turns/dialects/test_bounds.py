"""A model that never ends: no more of an answer is read than may be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from parley_testing.dialects import alike, responding, response, said
from parley_testing.model_server import Asked, Raw, Said

from .conftest import Conversation

LIMIT = 20_000


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"model_answer_max_bytes": LIMIT}


def answer(which: str, text: str) -> Any:
    return alike({"content": text}) if which == "chat_completions" else responding(
        response(said(text))
    )  # fmt: skip


async def test_an_answer_that_is_too_long_fails_the_turn_and_says_so(
    conversation: Conversation, which: str
) -> None:
    conversation.script(answer(which, "x" * LIMIT))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"longer than {LIMIT} bytes" in (view.turn.error_detail or "")
    assert len(conversation.server.asked) == 1


async def test_one_that_is_not_is_read_whole(conversation: Conversation, which: str) -> None:
    conversation.script(answer(which, "x" * 5_000), Said("And on."))

    view = await conversation.say()
    again = await conversation.say()

    assert view.reply is not None
    assert (len(view.reply.content), again.turn.status) == (5_000, "completed")


@pytest.mark.parametrize("streamed", [True])
@pytest.mark.parametrize("piece", [b": still thinking\n\n", b"x"])
async def test_one_that_never_ends_ends_there(
    conversation: Conversation, which: str, piece: bytes
) -> None:
    def endless() -> Iterator[bytes]:
        yield from itertools.repeat(piece * 64)

    conversation.script(lambda asked: Raw(200, endless()))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert "longer than" in (view.turn.error_detail or "")


@pytest.mark.parametrize("which", ["responses"])
async def test_an_error_that_is_too_long_is_not_read_either(conversation: Conversation) -> None:
    def step(asked: Asked) -> Raw:
        return Raw(400, b'{"error": {"message": "%s"}}' % (b"x" * LIMIT))

    conversation.script(step)

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert len(view.turn.error_detail or "") < 1_000
