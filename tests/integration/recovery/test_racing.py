"""Two recoveries at the same time, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from parley.repository.turns import RunningTurn
from parley_testing.api.asked_by_line import REPORT
from parley_testing.own_path import own_path

TURNS = 12


@pytest.fixture
def processes(environment: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes in which the cleanup function is loaded; each line is an event."""
    with ExitStack() as stack:
        started = []
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-m", "parley_testing.api.asked_by_line", "cleanup"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | own_path(),
            )
            stack.callback(process.wait, 10)
            stack.callback(process.kill)
            started.append(stack.enter_context(process))
            assert report(process, {"action": "recover"})["done"]  # it is warm
        yield started


def ask(process: subprocess.Popen[str], event: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(event) + "\n")
    process.stdin.flush()


def answered(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(REPORT):
            found: dict[str, Any] = json.loads(line.removeprefix(REPORT))
            return found
    raise AssertionError("the process ended")


def report(process: subprocess.Popen[str], event: dict[str, Any]) -> dict[str, Any]:
    ask(process, event)
    return answered(process)


def test_each_turn_is_ended_once(
    processes: list[subprocess.Popen[str]],
    left: Callable[..., RunningTurn],
    work: Callable[[], int],
    sql: psycopg.Connection,
) -> None:
    titles = [f"task {number}" for number in range(TURNS)]
    for title in titles:
        left(f"add {title}")

    for process in processes:
        ask(process, {"action": "recover"})
    reports = [answered(process) for process in processes]

    woken = [report["sessions"]["woken"] for report in reports]
    # Who comes later finds what is woken for; at the same moment both may wake, which does no harm.
    assert TURNS <= sum(woken) <= 2 * TURNS
    assert all(report["done"] for report in reports)
    assert work() == sum(woken)
    rows = sql.execute(
        """
        SELECT t.status, t.attempt, t.crashes,
               (SELECT count(*) FROM messages m WHERE m.turn_id = t.id AND m.role = 'assistant')
        FROM turns t
        """
    ).fetchall()
    assert rows == [("completed", 2, 1, 1)] * TURNS
    assert sorted(row[0] for row in sql.execute("SELECT title FROM tasks")) == sorted(titles)
