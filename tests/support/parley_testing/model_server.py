"""A model's HTTP server on loopback, for the Responses API and for Chat Completions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from parley_testing import model_input

INPUT_TOKENS = 11
OUTPUT_TOKENS = 7


@dataclass(frozen=True)
class Said:
    """The model says something."""

    text: str


@dataclass(frozen=True)
class Called:
    """The model calls a tool."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    call_id: str = "call_0"


@dataclass(frozen=True)
class Raw:
    """The server answers with these bytes, whatever they are."""

    status: int
    body: bytes = b"{}"


Step = Said | Called | list[Called] | Raw


@dataclass(frozen=True)
class Asked:
    """A request as it came over the wire."""

    path: str
    body: dict[str, Any]
    connection: int
    key: str

    @property
    def input(self) -> list[Any]:
        """The conversation, in the form of the API that was asked."""
        given: list[Any] = self.body["input" if "input" in self.body else "messages"]
        return given


class ModelServer:
    """Answers each request with what the script gives for it; connections are kept alive.

    Attributes:
        script: Takes a request and gives the answer.
        asked: The requests so far.
        refused: What a model would have refused of them. Leaving the block fails for it: requests
            come from other processes too, in which nobody else looks.
    """

    def __init__(self, script: Callable[[Asked], Step] = lambda asked: Said("ok")) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        self._connections: set[Any] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def base_url(self) -> str:
        """What `OPENAI_BASE_URL` is set to."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        assert not self.refused, f"a model would refuse its input: {'; '.join(self.refused)}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers["Authorization"].removeprefix("Bearer ")
                asked = Asked(self.path.removeprefix("/v1"), body, self.client_address[1], key)
                model.asked.append(asked)
                if asked.path == "/responses":
                    model.refused += model_input.faults(body["input"])
                step = model.script(asked)
                status, answer = 200, b""
                if isinstance(step, Raw):
                    status, answer = step.status, step.body
                else:
                    shape = _response if asked.path == "/responses" else _completion
                    answer = json.dumps(shape(step, len(model.asked))).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.send_header("retry-after-ms", "1")  # or the client waits for a second
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing on standard error."""

        return Handler


def in_order(*steps: Step) -> Callable[[Asked], Step]:
    """Make a script that gives one step a request."""
    left = list(steps)
    return lambda asked: left.pop(0)


def _calls(step: Called | list[Called]) -> list[Called]:
    return step if isinstance(step, list) else [step]


def _response(step: Said | Called | list[Called], number: int) -> dict[str, Any]:
    if isinstance(step, Said):
        text = {"type": "output_text", "text": step.text, "annotations": [], "logprobs": []}
        output: list[dict[str, Any]] = [
            {"type": "reasoning", "id": f"rs_{number}", "summary": []},
            {
                "type": "message",
                "id": f"msg_{number}",
                "role": "assistant",
                "status": "completed",
                "content": [text],
            },
        ]
    else:
        output = [
            {
                "type": "function_call",
                "id": f"fc_{number}_{place}",
                "status": "completed",
                "call_id": call.call_id,
                "name": call.name,
                "arguments": json.dumps(call.arguments),
            }
            for place, call in enumerate(_calls(step))
        ]
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 0,
        "model": "scripted",
        "status": "completed",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    }


def _completion(step: Said | Called | list[Called], number: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if isinstance(step, Said):
        message["content"] = step.text
    else:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in _calls(step)
        ]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    }
