"""Traces: what a request spends its time on, for X-Ray.

Lambda sends the segment of an invocation; these are its subsegments, one datagram each to the
daemon that runs beside the function. Powertools' Tracer would need the X-Ray SDK, which takes as
long to import as a whole cold start may take, and which loses its place in tasks and threads.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from parley.observability import logger

Annotations = dict[str, str | int | bool]

DAEMON = "AWS_XRAY_DAEMON_ADDRESS"
"""The variable that says where traces are sent; without it they are not."""

_HEADER = b'{"format": "json", "version": 1}\n'
_NOT_IN_NAMES = re.compile(r"[^\w\s.:/%&#=+\\\-@]")
_NAME_MAX_CHARS = 200

_inside: ContextVar[tuple[str, str] | None] = ContextVar("parley_subsegment", default=None)
"""The trace, and the subsegment in it, on whose behalf the caller runs."""

_of_request: ContextVar[str | None] = ContextVar("parley_trace_header", default=None)
"""The trace of the request on whose behalf the caller runs, where the environment names none."""


@contextmanager
def traced_as(header: str | None) -> Iterator[None]:
    """Let the block belong to the trace that a request names in its X-Amzn-Trace-Id header.

    A web server is no Lambda runtime, which would set it in the environment.
    """
    token = _of_request.set(header)
    try:
        yield
    finally:
        _of_request.reset(token)


@contextmanager
def subsegment(name: str, **annotations: str | int | bool) -> Iterator[Annotations]:
    """Let X-Ray know how long the block took, and whether it raised.

    Does nothing where nobody listens, or X-Ray does not want this invocation's trace.

    Args:
        name: What the block does; a name of the code's, never of what people say.
        annotations: What traces can be found by: ids and outcomes.

    Returns:
        The annotations, to which the block may add.
    """
    invocation = _invocation()
    if invocation is None:
        yield annotations
        return
    daemon, trace, segment = invocation
    outer = _inside.get()
    made = os.urandom(8).hex()
    token = _inside.set((trace, made))
    started, raised = time.time(), False
    try:
        yield annotations
    except BaseException:
        raised = True
        raise
    finally:
        _inside.reset(token)
        _send(
            daemon,
            {
                "type": "subsegment",
                "id": made,
                "trace_id": trace,
                # What was begun in an earlier invocation is no part of this one's trace.
                "parent_id": outer[1] if outer is not None and outer[0] == trace else segment,
                "name": _NOT_IN_NAMES.sub("", name)[:_NAME_MAX_CHARS],
                "start_time": started,
                "end_time": time.time(),
                "fault": raised,
                "annotations": annotations,
            },
        )


def _invocation() -> tuple[tuple[str, int], str, str] | None:
    """Return the daemon's address, the trace and Lambda's segment of it, if a trace is wanted."""
    host, _, port = os.environ.get(DAEMON, "").rpartition(":")
    header = _of_request.get() or os.environ.get("_X_AMZN_TRACE_ID", "")
    said = dict(part.split("=", 1) for part in header.split(";") if "=" in part)
    if not host or said.get("Sampled") != "1" or "Root" not in said or "Parent" not in said:
        return None
    return (host, int(port)), said["Root"], said["Parent"]


def _send(daemon: tuple[str, int], document: dict[str, object]) -> None:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.setblocking(False)
            way.sendto(_HEADER + json.dumps(document).encode(), daemon)
    except OSError as error:
        # A trace that is lost is no reason to fail what it is about.
        logger().debug("a subsegment was lost", reason=type(error).__name__)
