"""One execution environment: a process that holds one function and serves one event at a time.

Started by the gateway as `python -m parley_local.environment FOLDER HANDLER FD`. It speaks over
the socket FD and nothing else, since a function prints what it likes on its standard output.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_local import frames

Handler = Callable[[Any, "Context"], Any]


@dataclass(frozen=True)
class Context:
    """The context object that Lambda gives a handler."""

    aws_request_id: str
    invoked_function_arn: str
    deadline: float
    function_name: str
    function_version: str
    memory_limit_in_mb: str
    log_group_name: str
    log_stream_name: str
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that this invocation still has; never below 0."""
        return max(0, round((self.deadline - time.time()) * 1000))


def load_handler(folder: Path, handler: str) -> Handler:
    """Import the function's module, its folder first on the path, and return its handler.

    Args:
        folder: The function's folder.
        handler: `module.function`, as a template's Handler.
    """
    sys.path.insert(0, str(folder))
    module, _, name = handler.rpartition(".")
    found: Handler = getattr(importlib.import_module(module.replace("/", ".")), name)
    return found


def error_of(error: BaseException) -> dict[str, Any]:
    """Return an exception as Lambda answers it."""
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def invoke(handler: Handler, message: dict[str, Any]) -> bytes:
    """Run the handler on one event and return the frame that answers it."""
    context = Context(
        aws_request_id=message["request_id"],
        invoked_function_arn=message["function_arn"],
        deadline=message["deadline"],
        function_name=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        function_version=os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
        memory_limit_in_mb=os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        log_group_name=os.environ["AWS_LAMBDA_LOG_GROUP_NAME"],
        log_stream_name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
    )
    try:
        result = handler(message["event"], context)
    except Exception as error:
        if not getattr(error, "explained", False):  # the function's own; who asked is told
            traceback.print_exc()
        return frames.pack({"error": error_of(error)})
    try:
        # Serialised alone first, so that the error names the result and not our frame.
        json.dumps(result)
        return frames.pack({"result": result})
    except (TypeError, ValueError) as error:
        fault = f"Unable to marshal response: {error}"
        print(fault, file=sys.stderr)
        return frames.pack({"error": {"errorMessage": fault, "errorType": "Runtime.MarshalError"}})


def _read_events(connection: socket.socket, events: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Queue what the gateway sends; when the gateway is gone, end even a handler that hangs."""
    try:
        while True:
            events.put(frames.receive(connection))
    except (EOFError, OSError):
        os._exit(0)


def main(folder: str, handler_name: str, descriptor: str) -> int:
    """Serve events until the gateway goes away; return 1 when the function cannot be imported."""
    connection = socket.socket(fileno=int(descriptor))
    # Whatever the function starts must not hold the socket open after this process.
    connection.set_inheritable(False)
    try:
        handler = load_handler(Path(folder), handler_name)
    except Exception as error:
        traceback.print_exc()
        connection.sendall(frames.pack({"error": error_of(error)}))
        return 1
    connection.sendall(frames.pack({"ready": True}))
    events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_events, args=(connection, events), daemon=True).start()
    while True:
        connection.sendall(invoke(handler, events.get()))
        # Lambda's log shows a line at once; a pipe would keep it until the buffer is full.
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
