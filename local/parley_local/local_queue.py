"""The queue of `make dev`: its messages, the port where boto3 finds it, and what it delivers."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

from parley_local.dead_letters import DeadLetters
from parley_local.execution import EnvironmentLost
from parley_local.pool import Invocable
from parley_local.queue_delivery import deliver
from parley_local.queue_server import QueueServer
from parley_local.queue_state import RETRY_SECONDS, QueueState
from parley_local.server import listen, serving, url_of
from parley_local.template import Queue

DEAD_LETTERS_FILE = "dead-letters.jsonl"
"""Where messages are that were given up, in the data directory."""

log = logging.getLogger(__name__)


class LocalQueue:
    """One queue of the template, reached at `url`."""

    def __init__(self, state: QueueState, url: str) -> None:
        self.url = url
        self._state = state

    async def deliver(self, pool: Invocable, *, at_once: int) -> NoReturn:
        """Start the queue's function, and invoke it on messages, at most `at_once` at a time."""
        try:
            await pool.prewarm()
        except EnvironmentLost as lost:
            # As on AWS, its messages tell whether it works: each is tried in a new process.
            log.error("%s did not start: %s", pool.function.name, lost)
        await deliver(self._state, pool, at_once=at_once)

    def send(self, body: str, delay: float, group: str) -> None:
        """Take a message of a group that is delivered after so many seconds."""
        self._state.send(body, delay, group)


@contextlib.asynccontextmanager
async def local_queue(
    settings: Queue, data_dir: Path, *, retry: float = RETRY_SECONDS
) -> AsyncIterator[LocalQueue]:
    """Keep a queue, and serve it on a free port of the loopback interface.

    Its URL holds a secret of this start: whoever else is on the machine cannot write to it.

    Args:
        settings: As the template has them.
        data_dir: Where dead letters are kept.
        retry: Seconds after which a message whose handler failed is delivered again.
    """
    dead_letters = DeadLetters(data_dir / DEAD_LETTERS_FILE)
    state = QueueState(settings, bury=dead_letters.keep, retry=retry)
    server = QueueServer(state, dead_letters, secret=secrets.token_urlsafe(16))
    with listen("127.0.0.1", 0) as listener:
        async with serving(server, listener):
            yield LocalQueue(state, url_of(listener) + server.path)
            if len(state):
                log.info("%d messages of %s end with it.", len(state), settings.name)
