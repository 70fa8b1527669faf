"""How functions start: what each imports, and that no garbage is looked for meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from parley_testing.api.handlers import FUNCTIONS

WITH_AGENTS = ("messages", "stream", "worker")
WITHOUT = ("authorizer", "cleanup", "sessions")

# Enough to start with; nothing is asked of any of them while a function starts.
SURROUNDINGS = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "DATABASE_RUNTIME_URL": "postgresql://none@127.0.0.1/none",
    "OPENAI_API_KEY": "none",
    "AGENT_SESSION_TABLE": "none",
    "WAKE_QUEUE_URL": "http://127.0.0.1/none",
    "OIDC_ISSUER": "http://127.0.0.1",
    "OIDC_AUDIENCE": "none",
}
START = """
import gc, json, sys
from parley import starting
collected = []
gc.collect()
gc.callbacks.append(lambda phase, about: collected.append(phase))
import app
modules = sorted(sys.modules)
del gc.callbacks[:]
print(json.dumps([modules, len(collected), gc.isenabled(), gc.get_freeze_count()]))
"""


@cache
def started(name: str) -> Any:
    """Start a function in a process of its own, and return what is then there."""
    done = subprocess.run(
        [sys.executable, "-c", START],
        env=os.environ
        | SURROUNDINGS
        | {"PYTHONPATH": os.pathsep.join([str(FUNCTIONS / name), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", [*WITH_AGENTS, *WITHOUT])
def test_no_garbage_is_looked_for_while_a_function_starts(name: str) -> None:
    _, collections, looks_again, left_alone = started(name)

    assert collections == 0
    assert looks_again
    assert left_alone > 10_000
