"""A pytest plugin that begins with the files that take longest, so that none is left at the end.

By itself `--dist loadfile` begins with the files of the most tests, and ends with the few tests
that each start a whole stack.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[3]
FIRST = (
    "e2e/test_installed.py",
    "e2e/test_events.py",
    "e2e/test_failures.py",
    "faults/test_killed_streaming.py",
    "faults/test_wakeups.py",
    "faults/test_kill_anywhere.py",
    "faults/state_machine/test_random_schedules.py",
    "faults/test_killed_cancelling.py",
    "faults/test_zombies.py",
    "integration/turns/brought/mcp_servers/test_killed.py",
    "integration/workbench/test_plugin.py",
    "integration/project/test_checking.py",
    "integration/workbench/test_survives.py",
    "integration/stack/test_contract.py",
    "integration/gateway/test_dev.py",
    "integration/workbench/test_sdk_examples.py",
    "integration/stack/test_many_sends.py",
    "integration/gateway/test_dev_terminal.py",
    "integration/stack/test_open_streams.py",
    "integration/cli/test_streams.py",
    "integration/gateway/test_whole.py",
    "integration/cli/test_terminal.py",
    "integration/gateway/test_streams.py",
    "integration/cli/test_fuzz.py",
    "integration/cli/test_whole.py",
    "integration/project/test_deploying_own.py",
    "integration/gateway/test_second_project.py",
)
"""The files of more than 15 seconds, as `slowest_files` tells: a wrong order costs time only."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests of the longest files to the front; all others stay in their order."""
    places = {TESTS / name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(FIRST)))
