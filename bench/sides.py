"""What is compared, each a process of its own, and asked in turns.

A side is a module with a class that has a method for each thing that can be asked of it. It is told
what to do in lines of JSON; whatever else the machine does at that time slows down all sides alike,
since the next one is asked right after.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Cost:
    """What one request takes.

    Attributes:
        wall: Milliseconds.
        cpu: The processor's milliseconds in the side's own process, whichever thread's.
    """

    wall: float
    cpu: float

    @classmethod
    def median(cls, costs: list[Self]) -> Self:
        """Return the medians of many."""
        return cls(
            statistics.median(each.wall for each in costs),
            statistics.median(each.cpu for each in costs),
        )


class Side:
    """A process that does what it is asked, for who asks.

    Attributes:
        name: What it is called in tables.
    """

    def __init__(self, name: str, module: str, env: Mapping[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=os.environ | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(self, what: str, **how: Any) -> Any:
        """Have something done that is not measured, and return what comes of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, how]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended at {what} {how}")
        return json.loads(answer)

    def cost(self, what: str, **how: Any) -> list[Cost]:
        """Have something done, as often as it says by `times`, and return what each took."""
        return [Cost(*each) for each in self.ask(what, **how)]


def serve(side: object) -> None:
    """Do what standard input asks, until it ends."""
    gc.freeze()  # what was imported, as in a function that runs for long
    # What a side prints is not its answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        what, how = json.loads(line)
        answers.write(json.dumps(getattr(side, what)(**how)) + "\n")
        answers.flush()


Taken = list[tuple[float, float]]
"""What requests took: of the clock and of the processor, in milliseconds."""


def timed(work: Callable[[], object], times: int = 1) -> Taken:
    """Do it some times, and return the milliseconds of each: of the clock and the processor."""
    taken = []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        taken.append(
            ((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000),
        )
    return taken


class Counting:
    """A relay in front of a server (see `bench.relay`).

    Attributes:
        port: Its own.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def round_trips(self, milliseconds: float | None = None) -> int:
        """Return the round trips since this was asked last.

        Args:
            milliseconds: How much longer each lasts from now on.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        command = {} if milliseconds is None else {"milliseconds": milliseconds}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def relay(server: str) -> Iterator[Counting]:
    """Start a relay before a server, named by its socket's path or by host and port."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.relay", server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Counting(process)
        process.terminate()
