"""Where a function's process leads while it is primed: nowhere."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from parley.composition import Composition
from parley.metrics import unmeasured
from parley.observability import logger
from parley.priming.aws import Unsent
from parley.priming.rows import rows_of
from parley.repository.rehearsal import bounded, rehearsing
from parley.tracing import DAEMON

_STATEMENTS_MAX = 300
"""Far more than all that is asked for. What asks in a circle is told the same each time."""


@contextmanager
def leading_nowhere(parts: Composition) -> Iterator[None]:
    """Let nothing leave the process within the block: for what is nobody's request.

    Statements and requests to AWS are made whole and answered by stand-ins, nothing is measured or
    traced, and what is logged is only what went wrong.

    Args:
        parts: The process's, whose clients and ways to Postgres these are. Clients that are made
            within the block are real.

    Raises:
        ValueError: Memory is in a file, in whose place nothing stands. On AWS it never is.
    """
    if parts.settings.agent_session_store != "dynamodb":
        raise ValueError("memory that is no table would be written to")
    with (
        parts.database.rehearsed(partial(rehearsing, answers=bounded(rows_of, _STATEMENTS_MAX))),
        Unsent().answering(parts.clients()),
        _untraced(),
        unmeasured(),
        _quiet(),
    ):
        yield


@contextmanager
def _untraced() -> Iterator[None]:
    daemon = os.environ.pop(DAEMON, None)
    try:
        yield
    finally:
        if daemon is not None:
            os.environ[DAEMON] = daemon


@contextmanager
def _quiet() -> Iterator[None]:
    def only_faults(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING

    log = logger()
    log.addFilter(only_faults)
    try:
        yield
    finally:
        log.removeFilter(only_faults)
