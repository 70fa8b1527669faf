"""How the command starts: with few imports, and with Ctrl-C heeded from the first moment on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import parley_backend
from parley import __version__
from parley_cli.address import DATA_DIR, located
from parley_cli.group import COMMANDS
from parley_testing.waiting import HANG_SECONDS

# What takes its time, and is no part of listing commands or of making a token.
HEAVY = ("parley_client", "httpx", "rich", "agents", "sqlalchemy", "boto3", "uvicorn")
_RUN = """
import sys
from parley_cli.start import main
sys.argv = ["parley", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
print(*sys.modules, sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("token",)])
def test_what_does_not_need_them_imports_no_heavy_packages(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=True,
    )

    imported = set(done.stderr.splitlines())
    assert "parley_cli.group" in imported
    assert imported.isdisjoint(HEAVY)


def test_every_command_is_listed_and_can_be_asked_for_help(parley: Any) -> None:
    listed = parley("--help").stdout

    for name, offered in COMMANDS.items():
        assert f"  {name} " in listed
        assert offered.summary in " ".join(listed.split())
        asked = parley(name, "--help")
        assert asked.exit_code == 0
        assert asked.stdout.startswith(f"Usage: root {name} ")


def test_a_command_that_is_none_is_told_what_it_may_have_been(parley: Any) -> None:
    result = parley("sesions")

    assert result.exit_code == 2
    assert "Did you mean 'sessions'" in result.stderr


def test_the_version_is_said(parley: Any) -> None:
    assert parley("--version").stdout == f"parley {__version__}\n"


@pytest.mark.parametrize(
    ("module", "slow"), [("parley_cli.start", "typer"), ("parley_local.start", "uvicorn")]
)
def test_ctrl_c_while_it_starts_shows_no_traceback(
    module: str, slow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Found before the real one, so that it is being imported when the signal comes.
    waits = "import time\nprint('importing', flush=True)\ntime.sleep(300)\n"
    (tmp_path / f"{slow}.py").write_text(waits)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with subprocess.Popen(
        [sys.executable, "-m", module, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job that the shell has put into the background would ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "importing\n"
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=HANG_SECONDS)

    assert started.returncode == -signal.SIGINT
    assert said == ""


def test_the_data_directory_is_that_of_the_project_or_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, elsewhere, project = (tmp_path / name for name in ("source", "elsewhere", "project"))
    for folder in (source / DATA_DIR, elsewhere, project / DATA_DIR, project / "shop" / DATA_DIR):
        folder.mkdir(parents=True)
    (project / "pyproject.toml").write_text("[tool.parley]\n")
    monkeypatch.setattr(parley_backend, "backend", lambda: source)

    monkeypatch.chdir(project)
    assert located(DATA_DIR) == DATA_DIR
    monkeypatch.chdir("shop")
    assert located(DATA_DIR) == project / DATA_DIR
    assert located(Path("other")) == Path("other")

    # In no project, or in one that nobody can read at the moment.
    for text in (None, "[tool.parley"):
        monkeypatch.chdir(elsewhere)
        if text is not None:
            (elsewhere / "pyproject.toml").write_text(text)
        assert located(DATA_DIR) == source / DATA_DIR
    (elsewhere / DATA_DIR).mkdir()
    assert located(DATA_DIR) == DATA_DIR
