"""What starting costs: the imports of each function, of the peer, and of the command.

These are imports from the checkout and its environment, whose byte code is there; the packages
that are deployed are measured by `make bench-init`, which takes minutes to build them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from bench.imported import Library, libraries
from bench.sides import Cost

from parley_testing.api.handlers import FUNCTIONS

AGENTS = "import agents"
PEER = "the FastAPI peer"
HELP = "parley --help"
WITH_AGENTS = ("messages", "stream", "worker")
WITHOUT = ("sessions", "cleanup")

# Libraries import these where they are there, as in the tests' environment. The packages have none.
TESTS_OWN = ("OpenSSL", "awscrt", "cryptography", "rich")
WITHOUT_THE_TESTS = f"import sys; sys.modules.update(dict.fromkeys({TESTS_OWN}))"

_MEASURED = """
import json, resource, sys, time
{before}
begun = time.perf_counter()
{work}
wall = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([1000 * wall, 1000 * (used.ru_utime + used.ru_stime - {bare})]))
"""
_HELP = """
import contextlib, io
from parley_cli.start import main
sys.argv = ["parley", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
"""
# Enough to start with; nothing is asked of any of them while a function starts.
_SURROUNDINGS = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "DATABASE_RUNTIME_URL": "postgresql://none@127.0.0.1/none",
    "OPENAI_API_KEY": "none",
    "AGENT_SESSION_TABLE": "none",
    "WAKE_QUEUE_URL": "http://127.0.0.1/none",
}


def starts(rounds: int) -> dict[str, Cost]:
    """Measure all of them, in turns.

    Returns:
        By name, what each takes beyond what Python itself takes.
    """
    peer = _SURROUNDINGS | {"DATABASE_URL": "postgresql+asyncpg://none@127.0.0.1/none"}
    work: dict[str, tuple[str, dict[str, str], list[str]]] = {
        AGENTS: ("import agents", _SURROUNDINGS, []),
        PEER: ("import bench.peers.fastapi_app", peer, []),
        HELP: (_HELP, _SURROUNDINGS, []),
        **{
            name: ("import app", _SURROUNDINGS, [str(FUNCTIONS / name)])
            for name in (*WITHOUT, *WITH_AGENTS)
        },
    }
    costs: dict[str, list[Cost]] = {name: [] for name in work}
    for at in range(rounds + 1):  # the first writes byte code
        bare = _taken("pass", _SURROUNDINGS, [], 0.0).cpu / 1000
        for name, (code, env, path) in work.items():
            before = "" if name == PEER else WITHOUT_THE_TESTS
            cost = _taken(code, env, path, bare, before)
            if at:
                costs[name].append(cost)
    return {name: Cost.median(each) for name, each in costs.items()}


def parts() -> dict[str, list[Library]]:
    """Return what a function of each kind imports, by library."""
    return {
        name: libraries(str(FUNCTIONS / name), _SURROUNDINGS, before=WITHOUT_THE_TESTS)
        for name in (WITHOUT[0], WITH_AGENTS[0])
    }


def _taken(work: str, env: dict[str, str], path: list[str], bare: float, before: str = "") -> Cost:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED.format(work=work, bare=bare, before=before)],
        env=os.environ | env | {"PYTHONPATH": os.pathsep.join([*path, *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Cost(*json.loads(done.stdout.splitlines()[-1]))
