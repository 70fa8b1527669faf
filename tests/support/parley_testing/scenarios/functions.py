"""The deployment's functions in a process that was forked: real but for the model."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from socket import socket
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx2
import uvicorn

import parley.composition
import parley.http.messages
import parley.http.stream  # noqa: F401 - before the fork
from parley.agents import provider, registry
from parley.http import stream_routes
from parley.http.api import Api
from parley.http.streamed import Following, Sending
from parley.manifest import manifest
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Context, load_function, rest_event
from parley_testing.models.scripted import ScriptedProvider, in_order, say
from parley_testing.scenarios.parts import Place
from parley_testing.scenarios.turns import SCENARIOS

Handler = Callable[[Mapping[str, Any], Any], Any]


def run_function(job: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Be a function's process, as its settings have it.

    Args:
        job: `function` is its name and `settings` what its environment has beside the stores;
            `tuned` are constants by their full names, for tests that cannot wait. `stream` serves
            at `listener`. Others are invoked with one event of `events` after the other, for
            `seconds` each, or, as workers, with what comes out of `queue` until the file `until`
            is there.
        place: Where the stores are.

    Returns:
        Under `told` what the function answered to each event, or the name of its error.
    """
    os.environ.update(settings_of(place, patience=job["patience"]) | job["settings"])
    for name, value in job["tuned"].items():
        module, _, constant = name.rpartition(".")
        setattr(import_module(module), constant, value)
    model = ScriptedProvider(SCENARIOS[job["scenario"]].script(Path(job["asked"])))
    provider.model_provider = lambda settings: model
    module = load_function(job["function"])
    if job["function"] == "stream":
        _serve(module.app, job["listener"])
        return {}
    if "queue" in job:
        return {"told": _work_off(module.handler, job)}
    return {"told": [_told(module.handler, event, job["seconds"]) for event in job["events"]]}


def warm_up() -> None:
    """Have done once what every child would do at its first request."""
    uvicorn.Config(_nothing, lifespan="on", ws="none", log_config=None).load()
    api = Api([stream_routes.router], SimpleNamespace(message_max_chars=100))
    session, turn = str(UUID(int=1)), str(UUID(int=2))
    for event in (
        rest_event("POST", f"/sessions/{session}/messages/stream", {"text": "hello"}),
        rest_event("GET", f"/sessions/{session}/turns/{turn}/events"),
    ):
        answer = api.answer(event, None)
        assert isinstance(answer["body"], Sending | Following), answer
    ReceivedWakeups("http://localhost", "-").close()
    registry.load(manifest().default)
    asyncio.run(_stream())
    httpx2.Client().close()  # the SDK makes one for its traces


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """Serve nothing."""


async def _stream() -> None:
    model: Any = ScriptedProvider(in_order(say("hello"))).get_model(None)
    async for _ in model.stream_response(None, "hello", None, []):
        pass


def settings_of(place: Place, *, patience: float) -> dict[str, str]:
    """Return the settings of a function that has its stores there."""
    settings = {
        "DATABASE_RUNTIME_URL": place.database_url,
        "DATABASE_STATEMENT_TIMEOUT_SECONDS": str(patience),
        "OFFLINE_MODEL": "true",  # another is put in its place
    }
    if place.sqlite is not None:
        return settings | {"AGENT_SESSION_STORE": "sqlite", "AGENT_SESSION_DB_PATH": place.sqlite}
    assert place.dynamodb is not None
    return settings | {
        "AGENT_SESSION_STORE": "dynamodb",
        "AGENT_SESSION_TABLE": place.table,
        "AWS_ENDPOINT_URL_DYNAMODB": place.dynamodb,
    }


def _serve(app: Any, listener: socket) -> None:
    """Serve as `run.sh` does."""
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=65,
    )
    uvicorn.Server(config).run([listener])


def _work_off(handler: Handler, job: Mapping[str, Any]) -> list[Any]:
    """Take messages that others may take as well, as long as they are not deleted."""
    queue = ReceivedWakeups(job["settings"]["AWS_ENDPOINT_URL_SQS"], job["queue"])
    told = []
    while not Path(job["until"]).exists():
        records = queue.receive(hidden_seconds=0)
        for record in records:
            told.append(_told(handler, {"Records": [record]}, job["seconds"]))
            queue.delete(record)
        if not records:
            time.sleep(0.01)
    return told


def _told(handler: Handler, event: Mapping[str, Any], seconds: float) -> Any:
    try:
        return handler(event, Context(seconds))
    except Exception as error:
        return {"error": type(error).__name__}
