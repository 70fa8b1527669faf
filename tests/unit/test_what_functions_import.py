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
gc.callbacks.append(lambda phase, about: phase == 'start' and collected.append(phase))
import app
modules = sorted(sys.modules)
del gc.callbacks[:]
print(json.dumps([modules, len(collected), gc.isenabled(), gc.get_freeze_count()]))
"""


NOBODY = {
    *("boto3", "s3transfer", "pydantic_settings", "dotenv", "sqlalchemy.orm"),
    *(
        "aws_lambda_powertools.event_handler.appsync",
        "aws_lambda_powertools.event_handler.vpc_lattice",
    ),
    "aws_lambda_powertools.utilities.data_classes.kafka_event",
}
OF_AGENTS = {"agents", "openai", "mcp", "httpx", "httpx2", "griffe"}
ADMINISTRATION = {
    *("parley.http.admin", "parley.http.admin_schemas", "parley.http.admin_stats"),
    *("parley.http.admin_turns", "parley.http.budgets", "parley.http.statistics_schemas"),
    *("parley.users.erasure", "parley.users.export", "parley.users.renaming"),
    *("parley.cleanup.cleaner", "parley.cleanup.retention"),
}
# What the SDK brings along, and a run never touches.
OF_THE_SDK = {
    *("agents.realtime", "agents.voice", "agents.extensions", "agents.mcp.server", "mcp.types"),
    *("mcp.server", "mcp.client", "openai.types.batch", "openai.types.fine_tuning"),
    *("openai.lib.streaming.responses", "openai.resources.chat"),
}
NEVER = {
    "authorizer": {*OF_AGENTS, *ADMINISTRATION, "sqlalchemy", "psycopg", "botocore.session"},
    "cleanup": {
        *OF_AGENTS,
        *(ADMINISTRATION - {"parley.cleanup.cleaner", "parley.cleanup.retention"}),
    },
    "sessions": {
        *OF_AGENTS,
        *ADMINISTRATION,
        *("parley.http.approvals", "parley.http.usage", "botocore.session"),
        "parley.cleanup.outbox",
    },
    **dict.fromkeys(WITH_AGENTS, OF_THE_SDK | ADMINISTRATION),
}
# With what the tests need besides, some of which libraries import if it is there. Who adds a
# library that a function needs writes down here what it came to.
MOST_MODULES = {
    "authorizer": 440,
    "cleanup": 830,
    "sessions": 695,
    "messages": 1790,
    "stream": 1840,
    "worker": 1720,
}


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

    assert collections <= 2  # before it says so; otherwise there are hundreds
    assert looks_again
    assert left_alone > 10_000


@pytest.mark.parametrize("name", [*WITH_AGENTS, *WITHOUT])
def test_a_function_imports_nothing_that_it_does_not_need(name: str) -> None:
    modules, *_ = started(name)

    needless = {
        each
        for each in modules
        for never in NOBODY | NEVER[name]
        if f"{each}.".startswith(f"{never}.")
    }
    assert needless == set()
    assert len(modules) <= MOST_MODULES[name]
