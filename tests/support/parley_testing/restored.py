"""A function that is frozen when it is warm, and copies of it, as SnapStart makes them.

    python -m parley_testing.restored FUNCTION REQUESTS

Loads the function as the environment says, runs what is to be run before a snapshot, and makes a
copy for each request: a fork that Python's and Rust's own hooks do not know of, so that a copy
knows as little of being one as a restored machine. Each runs what is to be run after a restore,
and answers its request. A line of JSON tells of the frozen process, and then one of each copy.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from parley_testing.own_path import own_path

FUNCTIONS = Path(__file__).parents[3] / "functions"
_FORK = {"x86_64": 57, "aarch64": 220}  # on the second it is clone, which takes what it is to be
_SIGCHLD = 17
_TOLD = "told: "

made: Counter[str] = Counter()
"""What was built that is built at first use, by what it is."""

connected: list[str] = []
"""What sockets were connected, or sent a datagram, to."""


@dataclass(frozen=True)
class Copies:
    """What was seen.

    Attributes:
        frozen: Of the process that was frozen.
        each: Of its copies, by request.
        log: What all of them logged.
    """

    frozen: dict[str, Any]
    each: list[dict[str, Any]]
    log: str


def copies(name: str, *requests: tuple[str, str, Any], snapshot: bool = True) -> Copies:
    """Freeze a function that is started with this process's environment, and copy it.

    Args:
        name: The function's.
        requests: The first request of each copy: method, path and body.
        snapshot: Whether it is told that a snapshot will be taken.
    """
    kind = "snap-start" if snapshot else "on-demand"
    done = subprocess.run(
        [sys.executable, "-m", "parley_testing.restored", name, json.dumps(requests)],
        env=os.environ | {"AWS_LAMBDA_INITIALIZATION_TYPE": kind} | own_path(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(_TOLD)]
    others = [line for line in done.stdout.splitlines() if not line.startswith(_TOLD)]
    frozen, *each = (json.loads(line.removeprefix(_TOLD)) for line in lines)
    return Copies(frozen, each, "\n".join(others))


def main() -> None:
    """Freeze a function and tell of its copies."""
    name, requests = sys.argv[1], json.loads(sys.argv[2])
    sys.path.insert(0, str(FUNCTIONS / name))
    sys.addaudithook(_note)
    begun = time.process_time()
    app = import_module("app")
    started = time.process_time()
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        import_module("awslambdaric.lambda_runtime_hooks_runner").run_before_snapshot()
    primed = time.process_time()
    handler = _handler(app)
    _count()
    _tell(
        init=1000 * (started - begun),
        primed=1000 * (primed - started),
        threads=[each.name for each in threading.enumerate()][1:],
        connected=[*connected],
        held=_held(),
        environment=[*os.environ.values()],
    )
    for request in requests:
        child = _fork()
        if not child:
            _answer(handler, request)
        os.waitpid(child, 0)


def _held() -> list[str]:
    """Return what is open that belongs to one process: sockets, and what loops wait with."""
    opened = []
    for each in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed them
            opened.append(os.readlink(f"/proc/self/fd/{each}"))
    return [each for each in opened if each.startswith("socket:") or "eventpoll" in each]


def _handler(app: Any) -> Callable[[Any, Any], dict[str, Any]]:
    if hasattr(app, "handler"):
        handler: Callable[[Any, Any], dict[str, Any]] = app.handler
        return handler
    from parley_testing.api.asgi import handler_of

    return handler_of(app.app)


def _answer(handler: Callable[[Any, Any], dict[str, Any]], request: list[Any]) -> None:
    from parley_testing.api.handlers import Context, rest_event

    try:
        method, path, body = request
        event = rest_event(method, path, body, headers={"Content-Type": "application/json"})
        context = Context()
        before = set(sys.modules)
        made.clear()
        begun, since = time.process_time(), time.perf_counter()
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            import_module("awslambdaric.lambda_runtime_hooks_runner").run_after_restore()
        answer = handler(event, context)
        taken, wall = time.process_time() - begun, time.perf_counter() - since
        seen: dict[str, Any] = {
            "imported": [name for name in sys.modules if name not in before],
            "made": dict(made),
        }
        again = time.process_time()
        handler(event, Context())
        _tell(
            **seen,
            status=answer["statusCode"],
            body=str(answer["body"])[:2000],
            cpu=1000 * taken,
            time=1000 * wall,
            later=1000 * (time.process_time() - again),
            random=random.random(),
        )
    except BaseException as error:  # or the copy would go on as the process itself
        _tell(failed=repr(error))
    finally:
        os._exit(0)


def _fork() -> int:
    number = _FORK[platform.machine()]
    arguments = (_SIGCHLD, 0, 0, 0, 0) if number == _FORK["aarch64"] else ()
    return int(ctypes.PyDLL(None).syscall(number, *arguments))


def _tell(**facts: Any) -> None:
    sys.stdout.flush()
    os.write(1, f"{_TOLD}{json.dumps(facts)}\n".encode())


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        connected.append(str(arguments[1]))


def _count() -> None:
    """Count what libraries build."""
    for module, owner, function, what in (
        ("pydantic._internal._generate_schema", "GenerateSchema", "__init__", "validators"),
        ("sqlalchemy.sql.compiler", "SQLCompiler", "__init__", "statements"),
        ("botocore.client", "ClientCreator", "create_client", "clients"),
        ("botocore.loaders", "JSONFileLoader", "load_file", "descriptions"),
        ("ssl", "SSLContext", "__new__", "contexts"),
    ):
        if module in sys.modules:
            holder = getattr(sys.modules[module], owner)
            setattr(holder, function, _counted(getattr(holder, function), what))


def _counted(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    @wraps(function)
    def counted(*arguments: Any, **named: Any) -> Any:
        made[what] += 1
        return function(*arguments, **named)

    return counted


if __name__ == "__main__":
    main()
