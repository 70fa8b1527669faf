"""What a process restored from a snapshot does first."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import httpx
import pytest

from parley import snapshot
from parley.http.stream import stream_app
from parley.observability import logger
from parley.snapshot import (
    FirstInvocation,
    prime_at_once,
    prime_before_snapshot,
    reseed,
    reseed_after_restore,
)

# Forks by the system call itself: what a snapshot copies, without Python's and Rust's own hooks, by
# which a fork that they know of reseeds by itself.
_COPIES = """
import ctypes, json, os, platform, random, time
from parley.ids import new_id
from parley.snapshot import FirstInvocation

number = {"x86_64": 57, "aarch64": 220}[platform.machine()]
libc = ctypes.PyDLL(None)
first = FirstInvocation()
new_id(), random.random()
time.sleep(0.01)  # ids of one millisecond are counted on, and these are of later ones
for _ in range(2):
    arguments = (17, 0, 0, 0, 0) if number == 220 else ()
    child = libc.syscall(number, *arguments)
    if not child:
        first.passed()
        # What follows the moment, and the count within it.
        line = json.dumps([new_id().hex[-12:], random.random()]) + "\\n"
        os.write(1, line.encode())
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_elsewhere_nothing_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_LAMBDA_INITIALIZATION_TYPE", raising=False)
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", None)

    reseed_after_restore()


def test_under_snapstart_reseeding_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Callable[[], None]] = []
    runtime = ModuleType("snapshot_restore_py")
    runtime.register_after_restore = registered.append  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", runtime)

    reseed_after_restore()

    assert registered == [reseed]


@pytest.mark.parametrize("kind", ["on-demand", "snap-start"])
def test_priming_is_for_snapshots_only(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[Callable[[], None]] = []
    primed: list[str] = []
    runtime = ModuleType("snapshot_restore_py")
    runtime.register_before_snapshot = registered.append  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", runtime)

    prime_before_snapshot(lambda: primed.append("before"))
    assert not primed  # the runtime does it, when all is loaded
    for each in registered:
        each()
    prime_at_once(lambda: primed.append("at once"))

    assert primed == (["before", "at once"] if kind == "snap-start" else [])


def test_priming_that_fails_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(logger(), "error", lambda text, **facts: told.append((text, facts)))
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")

    def prime() -> None:
        raise ImportError("no stand-ins")

    prime_at_once(prime)

    ((text, facts),) = told
    assert text.startswith("priming failed")
    assert (facts["step"], facts["reason"]) == ("all", "no stand-ins")


def test_openssl_is_given_new_numbers_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[bytes, float]] = []
    monkeypatch.setattr(ssl, "RAND_add", lambda numbers, bits: given.append((numbers, bits)))

    reseed()
    reseed()

    (first, entropy), (second, _) = given
    assert first != second
    assert entropy == len(first) >= 32


def test_copies_of_a_process_get_random_numbers_of_their_own() -> None:
    state = random.getstate()
    numbers = set()
    for _ in range(2):
        random.setstate(state)
        reseed()
        numbers.add(random.random())

    assert len(numbers) == 2


@pytest.mark.parametrize("kind", ["on-demand", "snap-start"])
def test_copies_of_a_frozen_process_make_other_ids_from_their_first_request_on(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COPIES],
        env={"AWS_LAMBDA_INITIALIZATION_TYPE": kind, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    (first, second) = map(json.loads, done.stdout.splitlines())

    # Without that they make the same: so the copies are as those of a snapshot are.
    same = kind == "on-demand"
    assert [a == b for a, b in zip(first, second, strict=True)] == [same, same]


def test_a_copy_reseeds_once(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[None] = []
    monkeypatch.setattr(snapshot, "reseed", lambda: times.append(None))
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    first = FirstInvocation()
    assert not times

    first.passed()
    first.passed()

    assert len(times) == 1


def test_the_stream_server_reseeds_at_its_first_request_and_not_when_it_says_that_it_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times: list[str] = []
    at: list[str] = []
    monkeypatch.setattr(snapshot, "reseed", lambda: times.append(at[-1]))
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    nobody: Any = None
    app = stream_app(nobody, nobody, nobody, nobody, max_chars=1)

    async def ask() -> None:
        # The adapter asks for the first before the snapshot is taken.
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://stream") as client:
            for path in ("/ready", "/messages/stream", "/messages/stream"):
                at.append(path)
                await client.post(path)

    asyncio.run(ask())

    assert times == ["/messages/stream"]
