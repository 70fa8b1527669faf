"""Where a request's processor time goes, by layer, into docs/performance.md.

    make bench-profile

The process's own time, of all its threads, is looked at a thousand times a second: each thread's
time since the last look goes to the layer that it is in. Nothing is wrapped, so that what is small
and called often is not told as more than it is. Other trees are measured with the same file, by the
interpreter and the modules of each:

    cd OTHER && PYTHONPATH=tests/support:.:HERE .venv/bin/python -m bench.layers --json FILE
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

from bench import layers_page
from bench.conversation import TEXT
from bench.instant_model import TOOL
from bench.migrated import migrated
from bench.sending import CREDENTIALS
from bench.sides import Taken
from bench.stream_setup import BENCH, Child

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PARLEY, POSTGRES, SQLITE = "Parley", "psycopg", "SQLite"
EVENT_LOOP, LOG, OTHER = "asyncio", "the log", "the rest"
MEASURED = "measuring"

_LIBRARIES = {
    "aws_lambda_powertools": "Powertools",
    "pydantic": "Pydantic",
    "sqlalchemy": "SQLAlchemy",
    "psycopg": POSTGRES,
    "agents": "Agents SDK",
    "openai": "OpenAI's client",
    **dict.fromkeys(("httpx", "httpx2", "httpcore", "httpcore2", "h11", "anyio"), "httpx"),
    **dict.fromkeys(("botocore", "boto3", "urllib3", "s3transfer"), "boto3"),
}
# Of Python's own, what is a layer by itself; the rest counts for who calls it.
_PYTHONS = {"json": "json", "logging": LOG, "asyncio": EVENT_LOOP, "selectors": EVENT_LOOP}
_EVERY = 0.001
_SWITCHES = 0.00002
_WAITING = ("select", "_worker")


class Looking:
    """Looks at where the process's time goes, whenever it is told to.

    Attributes:
        seconds: Of the processor, by layer.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._threads: dict[int, float] = {}

    @contextmanager
    def at_this(self) -> Iterator[None]:
        """Look at what is done in the block."""
        switches = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCHES)  # else another thread would have gone on for long
        self._taken()
        before = signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
            sys.setswitchinterval(switches)

    def _look(self, _: int, frame: FrameType | None) -> None:
        frames = sys._current_frames()
        frames[threading.get_ident()] = frame or frames[threading.get_ident()]
        taken = {thread: seconds for thread, seconds in self._taken().items() if seconds > 0}
        # What a thread took that waits by now was for something else.
        busy = [thread for thread in taken if frames[thread].f_code.co_name not in _WAITING]
        for thread in busy:
            self.seconds[layer(frames[thread])] += taken[thread]
        if not busy:
            self.seconds[EVENT_LOOP] += sum(taken.values())

    def _taken(self) -> dict[int, float]:
        """Return what each thread took since this was asked last."""
        now = {
            thread: time.clock_gettime(time.pthread_getcpuclockid(thread))
            for thread in sys._current_frames()
        }
        since = {thread: at - self._threads.get(thread, at) for thread, at in now.items()}
        self._threads = now
        return since


def layer(frame: FrameType | None) -> str:
    """Return the layer that a frame is in: of Python's own modules, mostly their caller's."""
    of_python = None
    while frame is not None:
        name = Path(frame.f_code.co_filename)
        found = _layer_of(name)
        if found is not None:
            return found if of_python is None or found == MEASURED else of_python
        of_python = of_python or _of_python(name)
        frame = frame.f_back
    return of_python or OTHER


def _of_python(file: Path) -> str | None:
    for part in (file.stem, file.parent.name):
        if part in _PYTHONS:
            return _PYTHONS[part]
    return None


def _layer_of(file: Path) -> str | None:
    parts = file.parts
    if "bench" in parts or "parley_testing" in parts:
        return MEASURED
    if "site-packages" in parts:
        at = parts.index("site-packages") + 1
        name = parts[at].removesuffix(".py")
        if parts[at : at + 2] == ("aws_lambda_powertools", "logging"):
            return LOG
        return _LIBRARIES.get(name.replace("_core", "").replace("_binary", ""), OTHER)
    if "parley" in parts or "functions" in parts:
        return SQLITE if file.name == "sqlite.py" else PARLEY
    return None


def measured(
    prepare: Callable[[], Callable[[int], Taken]], *, batches: int, times: int
) -> dict[str, Any]:
    """Return the milliseconds of the processor that a request takes, and those of each layer.

    Args:
        prepare: Does what is not measured, and returns what makes some requests and tells what
            each took.
        batches: How often that is done, for each of the two.
        times: How many requests each time.
    """
    taken = [cost for _ in range(batches) for _, cost in prepare()(times)]
    cpu = statistics.median(taken)
    looking = Looking()
    for _ in range(batches):
        work = prepare()
        with looking.at_this():
            work(times)
    seconds = {name: of for name, of in looking.seconds.items() if name != MEASURED}
    whole = sum(seconds.values())
    return {"cpu": cpu, "layers": {name: cpu * of / whole for name, of in seconds.items()}}


def requests(simple: int, turns: int) -> dict[str, Any]:
    """Measure each kind of request.

    Args:
        simple: How many requests for sessions, in hundreds.
        turns: How many turns, in fives.
    """
    from bench.parley_side import ParleySide  # reads the environment

    side = ParleySide()
    side.prepare()
    user = f"user-{uuid4().hex}"
    known = side.fill(user, 0)
    side.create(25, user)

    def turn(text: str) -> dict[str, Any]:
        def prepare() -> Callable[[int], Taken]:
            user = f"user-{uuid4().hex}"
            session = side.fill(user, 100)
            side.turn(1, user, session, text)
            return lambda times: side.turn(times, user, session, text)

        return measured(prepare, batches=turns, times=5)

    def request(work: Callable[[int], Taken]) -> dict[str, Any]:
        work(50)
        return measured(lambda: work, batches=simple, times=100)

    side.turn(3, user, known, TEXT)
    side.analyze()
    gc.collect()
    gc.freeze()
    return {
        "create": request(lambda times: side.create(times, f"user-{uuid4().hex}")),
        "get": request(lambda times: side.get(times, user, known)),
        "list": request(lambda times: side.list(times, user)),
        "send": turn(TEXT),
        "send with a tool": turn(TOOL),
    }


def main() -> None:
    """Measure, and write the section of the page, or only what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there, and no page")
    parser.add_argument("--requests", type=int, default=30, help="of each kind, in hundreds")
    parser.add_argument("--turns", type=int, default=30, help="of each kind, in fives")
    options = parser.parse_args()
    with migrated() as made, ExitStack() as stack:
        model = Child(stack, str(BENCH / "instant_model.py"))
        aws = Child(stack, str(BENCH / "counted_aws.py"), env=os.environ | CREDENTIALS)
        told = json.loads(aws.first)
        os.environ |= {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": told["url"],
            "WAKE_QUEUE_URL": told["queue"],
            "AGENT_SESSION_STORE": "sqlite",
            "AGENT_SESSION_DB_PATH": str(made.folder / "memory.db"),
            "DATABASE_RUNTIME_URL": made.runtime_url,
            "BENCH_OWNER_URL": made.owner_url,
            "OPENAI_API_KEY": "bench",
            "OPENAI_BASE_URL": model.first,
            "OPENAI_MODEL": "scripted",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
            # As it is deployed; what it writes goes nowhere.
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            figures = requests(options.requests, options.turns)
    for name, each in figures.items():
        print(f"{name:17} {each['cpu']:6.2f} ms", end="")
        layers = sorted(each["layers"].items(), key=lambda item: -item[1])
        print(", ".join(f"  {layer} {of:.2f}" for layer, of in layers))
    text = json.dumps({**figures, "runs": 1}, indent=1, sort_keys=True) + "\n"
    if options.json is not None:
        options.json.write_text(text)
        return
    layers_page.NOW.write_text(text)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(layers_page.replaced(page, layers_page.written()), encoding="utf-8")


if __name__ == "__main__":
    main()
