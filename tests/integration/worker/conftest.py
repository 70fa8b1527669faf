"""The API and the worker, with a queue of moto's between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from parley import threads
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Context, load_function
from parley_testing.waiting import HANG_SECONDS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls to a store that cannot serve be tried again without a pause."""
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def environment(environment: pytest.MonkeyPatch, queue: ReceivedWakeups) -> pytest.MonkeyPatch:
    """The settings of a deployment with a queue."""
    for name, value in queue.settings.items():
        environment.setenv(name, value)
    return environment


@pytest.fixture
def worker(environment: pytest.MonkeyPatch) -> Iterator[Any]:
    """The worker function, loaded."""
    module = load_function("worker")
    yield module
    module.parts.database.close()


@pytest.fixture
def work(worker: Any) -> Callable[..., None]:
    """Invokes the worker with an event."""

    def invoke(event: dict[str, Any], *, seconds: float = HANG_SECONDS) -> None:
        worker.handler(event, Context(seconds))

    return invoke
