"""What is sent unwalked is sent, and what a caller sends instead goes before it."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from openai import NOT_GIVEN, BadRequestError, omit
from openai._utils import _transform

from parley.agents.bounds import Bounds
from parley.agents.lean_client import LeanClient
from parley.agents.unwalked import unwalked

TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
MESSAGES = [{"role": "user", "content": "hello"}]


def test_what_was_left_out_is_left_out() -> None:
    assert unwalked(None, tools=omit, messages=NOT_GIVEN, input=None) == {}


def test_what_a_caller_adds_goes_before_an_argument() -> None:
    assert unwalked({"tools": [], "x": 1}, tools=TOOLS) == {"tools": [], "x": 1}


@pytest.mark.parametrize("api", ["responses", "chat"])
async def test_neither_input_nor_tools_are_walked(
    api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    walked: list[object] = []
    walk = _transform._async_transform_recursive

    async def noting(data: object, **how: Any) -> object:
        walked.append(data)
        return await walk(data, **how)

    monkeypatch.setattr(_transform, "_async_transform_recursive", noting)

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        return httpx2.Response(400, json={"error": {"message": "no"}})

    client = LeanClient(
        api_key="k",
        base_url="http://model",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)),
    )
    client.bounds = Bounds(1000)
    tools: Any = TOOLS
    said: Any = MESSAGES
    with pytest.raises(BadRequestError):
        await (
            client.responses.create(model="m", input=said, tools=tools)
            if api == "responses"
            else client.chat.completions.create(model="m", messages=said, tools=tools)
        )

    (body,) = sent
    assert body["tools"] == TOOLS
    assert body["input" if api == "responses" else "messages"] == MESSAGES
    assert not [each for each in walked if each in (TOOLS, TOOLS[0], MESSAGES, MESSAGES[0])]
