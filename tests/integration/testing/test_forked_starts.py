"""What is forked instead of being started sees, and is, what it would have been."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from parley_testing.waiting import HANG_SECONDS
from parley_testing.warm.starting import Starts, possible

pytestmark = pytest.mark.skipif(not possible(), reason="Only Linux can fork another's child.")

LOOKS = """
import gc, json, os, signal, sys, threading
from parley import starting

def others():
    return sorted(
        name for name in sys.modules
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "__main__", "parley_testing"}
        and not name.startswith("_")
    )

before = others()
starting.begin()
if os.environ["IMPORTS"]:
    import agents
    import uvicorn
seen = {
    "argv": sys.argv,
    "line": sys.orig_argv,
    "shown": open("/proc/self/cmdline").read(),
    "path": sys.path,
    "folder": os.getcwd(),
    "variables": {k: v for k, v in os.environ.items() if k != "AWS_EXECUTION_ENV"},
    "files": sorted(int(each) for each in os.listdir("/proc/self/fd") if int(each) < 500)[:-1],
    "errors": (sys.stderr.errors, sys.stderr.line_buffering, sys.stderr.fileno()),
    "output": (sys.stdout.name, sys.stdout.encoding, sys.stdout.line_buffering),
    "input": sys.stdin.read(),
    "signals": [str(signal.getsignal(each)) for each in (2, 13, 15)],
    "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "leads": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "parent": os.getppid(),
    "writes": not sys.dont_write_bytecode,
    "threads": threading.active_count(),
    "before": before,
    "after": others(),
    "main": (__name__, sys.modules["__main__"].__spec__.name),
}
print(json.dumps(seen), flush=True)
"""


@pytest.fixture(scope="module")
def all_starts() -> Iterator[Starts]:
    starts = Starts(None, os.environ)
    with closing(starts), starts.installed():
        yield starts


@pytest.fixture
def starts(all_starts: Starts) -> Starts:
    """Counts for one test; importing anew costs seconds."""
    all_starts.forked, all_starts.refused = 0, []
    return all_starts


def begin(folder: Path, code: str, **named: Any) -> subprocess.Popen[str]:
    """Start a function's process, whose module is this."""
    (folder / "app.py").write_text(code)
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "parley_local.environment", str(folder), "app.handler",
             str(theirs.fileno())],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[theirs.fileno()],
            cwd=folder, **named,
        )  # fmt: skip
    ours.detach()
    return process


def ended(process: subprocess.Popen[str], told: str = "") -> tuple[int, str, str]:
    out, errors = process.communicate(told, timeout=HANG_SECONDS)
    return process.returncode, out, errors


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return few variables, and those of which the processes' Pythons have to be told alike."""
    alike = {each: os.environ[each] for each in ("HOME", "LANG") if each in os.environ}
    return {"PATH": os.defpath, "PYTHONPATH": str(folder / "own"), **alike, **more}


@pytest.mark.parametrize("leads", [True, False])
def test_it_sees_what_a_started_one_sees(starts: Starts, tmp_path: Path, leads: bool) -> None:
    how: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        # With one of them, all is imported: in the started process that costs as much as the rest.
        "env": environment(
            tmp_path, SEEN="ÿ=1", PYTHONDONTWRITEBYTECODE="1", IMPORTS="all" if leads else ""
        ),
        "start_new_session": leads,
    }

    forked = ended(begin(tmp_path, LOOKS, **how), "typed")
    assert (starts.forked, starts.refused) == (1, [])
    with starts.left_out():
        real = ended(begin(tmp_path, LOOKS, **how), "typed")

    assert starts.forked == 1
    assert (forked[0], forked[2]) == (real[0], real[2])
    one, other = json.loads(forked[1]), json.loads(real[1])
    for seen in (one, other):
        assert seen.pop("shown").rstrip("\0").split("\0") == seen["line"]
        # The number of a file, which another process has under another.
        assert seen["argv"].pop() == seen["line"].pop()
        assert "agents" not in seen["before"]
        assert {"parley", *(("agents", "uvicorn") if leads else ())} <= set(seen["after"])
    assert one == other
    assert one["parent"] == os.getpid()


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(3)",
        "raise SystemExit('It is over.')",
        "raise KeyboardInterrupt",
        "raise BaseException('Nobody knows this.')",
        "import httpx, httpcore.nothing",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import signal; signal.raise_signal(signal.SIGTERM)",
        "import atexit, sys, threading, time\natexit.register(print, 'last', end='')\n"
        "threading.Thread(target=lambda: [time.sleep(0.05), print('late')]).start()\nsys.exit()",
    ],
)
def test_it_ends_as_a_started_one_ends(starts: Starts, tmp_path: Path, code: str) -> None:
    forked = ended(begin(tmp_path, code, env=environment(tmp_path)))
    with starts.left_out():
        real = ended(begin(tmp_path, code, env=environment(tmp_path)))

    assert starts.forked == 1
    assert forked == real


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(starts: Starts, tmp_path: Path, number: signal.Signals) -> None:
    code = "import time; print('now', flush=True); time.sleep(3_600)"
    process = begin(tmp_path, code, env=environment(tmp_path))
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"

    process.send_signal(number)

    # To a test that is run in the background, Ctrl-C is nothing; nor is it to what that starts.
    if number == signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN:
        process.kill()
        number = signal.SIGKILL
    assert ended(process)[0] == -number


SHADOWS = "import openai; print(openai.__file__, 'agents' in __import__('sys').modules)"


def test_a_project_with_a_librarys_name_or_an_imports_variable_is_started(
    starts: Starts, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    read = ended(begin(tmp_path, "print(1)", env=environment(tmp_path, OPENAI_LOG="info")))
    (tmp_path / "own" / "openai.py").write_text("")

    other = ended(begin(tmp_path, SHADOWS, env=environment(tmp_path)))

    assert read[1] == "1\n"
    assert other[1] == f"{tmp_path}/own/openai.py False\n"
    assert [why for _, why in starts.refused] == ["OPENAI_LOG was read", "openai is another's"]
    assert starts.forked == 0


SERVER = """#!/bin/sh
cd "$(dirname "$0")/server" || exit
TOLD="$TOLD, twice"
export TOLD
exec python -m uvicorn app:app --port 0 --log-level warning
"""
ROOT = """
import os, sys
frame = sys._getframe()
while frame.f_back:
    frame = frame.f_back
print(frame.f_code.co_name, frame.f_code.co_filename, os.getcwd(), os.environ["TOLD"], flush=True)
os._exit(os.getpgid(0) == os.getppid())
"""


def test_what_it_starts_is_forked_too_a_server_by_its_script(
    starts: Starts, tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "app.py").write_text(ROOT)
    script = tmp_path / "run.sh"
    script.write_text(SERVER)
    script.chmod(0o755)
    path = f"{Path(sys.executable).parent}:{os.defpath}"
    ours, theirs = socket.socketpair()
    (tmp_path / "own").mkdir()

    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "parley_local.web_keeper", str(script),
             str(tmp_path / "own"), str(theirs.fileno())],
            pass_fds=[theirs.fileno()], cwd=tmp_path, text=True, capture_output=True, check=False,
            env=environment(tmp_path, PATH=path, TOLD="once"), start_new_session=True,
            timeout=HANG_SECONDS,
        )  # fmt: skip

    # A started Python's lowest frame is that of `runpy`.
    assert done.stdout == f"<module> <string> {tmp_path}/server once, twice\n", done.stderr
    assert done.returncode == 1  # it is in the group that its keeper leads
    assert starts.forked == 1


def test_nothing_is_left_when_who_forks_has_ended(starts: Starts, tmp_path: Path) -> None:
    ended(begin(tmp_path, "", env=environment(tmp_path)))
    assert starts.forked == 1
    children = [each for each in psutil.Process().children() if each.cmdline()[1:2] == ["-s"]]
    server = max(children, key=psutil.Process.create_time)

    starts.close()  # the last test: another would begin a new one

    server.wait(HANG_SECONDS)
