"""A model's HTTP server on loopback, for the Responses API and for Chat Completions.

Whoever asks for a stream gets server-sent events: what `Said` says comes word by word, `Streamed`
(see `model_steps`) says what comes when and how it ends.
"""

from __future__ import annotations

import gzip
import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from parley_testing.loopback import Handler, LoopbackServer
from parley_testing.models import answers, input
from parley_testing.models.answers import INPUT_TOKENS, OUTPUT_TOKENS, Speaking
from parley_testing.models.steps import Called, Gate, Raw, Said, Step, Streamed
from parley_testing.models.stream import Happening, completion_chunks, response_events

__all__ = [
    "INPUT_TOKENS",
    "OUTPUT_TOKENS",
    "Asked",
    "Called",
    "Gate",
    "ModelServer",
    "Raw",
    "Said",
    "Step",
    "Streamed",
    "in_order",
]


@dataclass(frozen=True)
class Asked:
    """A request as it came over the wire."""

    path: str
    body: dict[str, Any]
    connection: int
    key: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def input(self) -> list[Any]:
        """The conversation, in the form of the API that was asked."""
        given: list[Any] = self.body["input" if "input" in self.body else "messages"]
        return given

    @property
    def streamed(self) -> bool:
        """Whether a stream was asked for."""
        return self.body.get("stream") is True


def _ok(asked: Asked) -> Step:
    return Said("ok")


class ModelServer(LoopbackServer):
    """Answers each request with what the script gives for it; connections are kept alive.

    Attributes:
        script: Takes a request and gives the answer.
        asked: The requests so far.
        abandoned: Those of them whose client went away before it had the whole stream.
        refused: What a model would have refused of them. Leaving the block fails for it: requests
            come from other processes too, in which nobody else looks.
    """

    def __init__(self, script: Callable[[Asked], Step] = _ok) -> None:
        super().__init__(self._handler())
        self.script = script
        self.asked: list[Asked] = []
        self.abandoned: list[Asked] = []
        self.refused: list[str] = []

    @property
    def base_url(self) -> str:
        """What `OPENAI_BASE_URL` is set to."""
        return f"{self.url}/v1"

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.would_refuse_none()

    def would_refuse_none(self) -> None:
        """Fail for what a model would have refused of what it was asked."""
        assert not self.refused, f"a model would refuse its input: {'; '.join(self.refused)}"

    def begin_anew(self) -> None:
        """Answer as a new server does, which was asked nothing."""
        self.script = _ok
        for kept in (self.asked, self.abandoned, self.refused):
            kept.clear()

    def _handler(self) -> type[Handler]:
        model = self

        class Answering(Handler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers["Authorization"].removeprefix("Bearer ")
                asked = Asked(
                    self.path.removeprefix("/v1"),
                    body,
                    self.client_address[1],
                    key,
                    dict(self.headers.items()),
                )
                model.asked.append(asked)
                if asked.path == "/responses":
                    model.refused += input.faults(body["input"])
                    model.refused += input.name_faults(body["input"])
                else:
                    model.refused += input.chat_faults(body["messages"])
                step = model.script(asked)
                if asked.streamed and not isinstance(step, Raw):
                    try:
                        self._stream(asked, step, len(model.asked))
                    except (ConnectionError, _WentAway):
                        model.abandoned.append(asked)
                        self.close_connection = True
                    return
                status, answer = 200, b""
                if isinstance(step, Raw) and not isinstance(step.body, bytes):
                    self._pour(step.status, step.body)
                    return
                if isinstance(step, Raw):
                    assert isinstance(step.body, bytes)
                    status, answer = step.status, step.body
                    if step.gzipped:
                        answer = gzip.compress(answer)
                else:
                    shape = _SHAPES[asked.path]
                    answer = json.dumps(shape(step, len(model.asked))).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                if isinstance(step, Raw) and step.gzipped:
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("retry-after-ms", "1")  # or the client waits for a second
                self.end_headers()
                if isinstance(step, Raw) and step.cut:
                    self.wfile.write(answer[:-1])
                    self.close_connection = True
                    return
                self.wfile.write(answer)

            def _stream(self, asked: Asked, step: Speaking, number: int) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                held = b""
                for happening in _happenings(asked, step, number):
                    self.wfile.write(held)
                    held = b""
                    match happening:
                        case Gate():
                            self._stand(happening)
                        case Exception():
                            raise TypeError("a server cannot raise in its client's process")
                        case bytes():
                            held = _chunk(happening)
                        case event:
                            held = _chunk(_encoded(event))
                if isinstance(step, Streamed) and step.end == "cut":
                    self.wfile.write(held)
                    self.close_connection = True
                    return
                if asked.path != "/responses" and not _breaks_off(step):
                    self.wfile.write(held)
                    held = _chunk(b"data: [DONE]\n\n")
                # At once: a client that has all it wants waits a moment for the end, and gives the
                # connection up then.
                self.wfile.write(held + _chunk(b""))

            def _pour(self, status: int, body: Iterator[bytes]) -> None:
                self.close_connection = True
                self.send_response(status)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                with suppress(ConnectionError):
                    for piece in body:
                        self.wfile.write(piece)

            def _stand(self, gate: Gate) -> None:
                while not gate.stand(0.02):
                    readable, _, _ = select.select([self.connection], [], [], 0)
                    if readable and not self.connection.recv(1, socket.MSG_PEEK):
                        raise _WentAway

        return Answering


class _WentAway(Exception):
    """The client closed its connection."""


_SHAPES = {"/responses": answers.response, "/chat/completions": answers.completion}


def _happenings(asked: Asked, step: Speaking, number: int) -> Iterator[dict[str, Any] | Happening]:
    answer = _SHAPES[asked.path](step, number)
    said = step.parts if isinstance(step, Streamed) else None
    end = step.end if isinstance(step, Streamed) else "completed"
    if asked.path == "/responses":
        return response_events(answer, said, end)
    counted = (asked.body.get("stream_options") or {}).get("include_usage") is True
    return completion_chunks(answer, said, end, usage=counted)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _encoded(event: dict[str, Any]) -> bytes:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def _breaks_off(step: Speaking) -> bool:
    return isinstance(step, Streamed) and step.end not in ("completed", "incomplete")


def in_order(*steps: Step) -> Callable[[Asked], Step]:
    """Make a script that gives one step a request."""
    left = list(steps)
    return lambda asked: left.pop(0)
