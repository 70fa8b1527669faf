"""Pipes that end, disks that are full, streams that are closed: no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Shell = Callable[[str], Any]


@pytest.fixture
def line(parley: Callable[..., Any]) -> str:
    parley("sessions", "create", "one", "--user", "quinn")
    return "parley sessions list --user quinn"


def test_who_has_read_enough_hears_nothing(shell: Shell, line: str) -> None:
    done = shell(f"{line} | true")

    assert (done.status, done.err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
@pytest.mark.parametrize("command", ["parley sessions list --user quinn", "parley export quinn"])
def test_a_full_disk_is_a_sentence(shell: Shell, line: str, command: str) -> None:
    done = shell(f"{command} > /dev/full")

    assert done.status == 1
    assert done.err == "parley: The output cannot be written: No space left on device.\n"


@pytest.mark.parametrize(
    ("closed", "status"), [("<&-", 0), (">&-", 0), ("2>&-", 0)], ids=["in", "out", "err"]
)
def test_a_closed_stream_is_an_empty_one(shell: Shell, line: str, closed: str, status: int) -> None:
    done = shell(f"{line} {closed}")

    assert (done.status, done.err) == (status, "")
    assert done.out == "" if closed == ">&-" else done.out.startswith("one\t")


def test_a_chat_with_nobody_ends(shell: Shell) -> None:
    done = shell("parley chat <&-")

    assert (done.status, done.err) == (0, "")
