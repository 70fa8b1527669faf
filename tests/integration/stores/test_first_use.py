"""What a process makes at first use is sound, also when several threads are first together."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from parley.once import made_once
from parley_testing.own_path import own_path
from parley_testing.run.at_length import times
from parley_testing.waiting import HANG_SECONDS

THREADS = 4
PROCESSES = times(enough=4, full=12)
"""With aliases that make their columns at first use, about 19 of 20 such processes are broken."""


def test_no_process_is_broken_by_threads_that_are_first_together(
    environment: pytest.MonkeyPatch,
) -> None:
    command = [
        sys.executable,
        "-m",
        "parley_testing.scenarios.first_use",
        str(PROCESSES),
        str(THREADS),
    ]

    run = subprocess.run(
        command, env=os.environ | own_path(), capture_output=True, text=True, check=False
    )

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_what_several_threads_ask_for_first_is_made_once() -> None:
    asked, made = Barrier(THREADS), list[object]()

    class Parts:
        @made_once
        def part(self) -> object:
            time.sleep(0.1)  # for the others to come in, if they can
            made.append(object())
            return made[-1]

    parts = Parts()

    def ask() -> object:
        asked.wait(HANG_SECONDS)
        return parts.part

    with ThreadPoolExecutor(THREADS) as threads:
        given = list(threads.map(lambda _: ask(), range(THREADS)))

    assert len(made) == 1
    assert set(given) == {made[0]}
    assert parts.part is made[0]
