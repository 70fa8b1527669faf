"""What a started Python process is to be, as `python` reads it from its arguments."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

PARLEY = str(Path(sys.executable).with_name("parley"))
"""The command, which a file starts that pip has written."""

MODULES = frozenset(
    {
        "parley_cli.start",
        "parley_local.dev",
        "parley_local.environment",
        "parley_local.start",
        "parley_local.web_keeper",
        "parley_project.agents",
        "parley_testing.api.asked_by_line",
        "parley_testing.mcp_servers.program",
        "parley_testing.restored",
        "parley_testing.scenarios.begins",
        "parley_testing.streams.event_writing",
        "pytest",
        "uvicorn",
    }
)
"""What is forked when it is run as `python -m`."""

# The terminal becomes the program's own, so that Ctrl-C in it is a signal; one that the tests may
# have been started to ignore, as a job in the background is.
TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

_KNOWN = frozenset({"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH", "PYTHONUNBUFFERED"})


@dataclass(frozen=True)
class Program:
    """A program, where it runs and with what.

    Attributes:
        module: The module that is run; None for `code`.
        code: What is run as `python -c`.
        arguments: What is told to it: `sys.argv` without its beginning.
        line: The whole line, as it was started.
        folder: Its working directory.
        environment: Its variables.
        path: What is in front of Python's own path.
        bytecode: Whether it writes any.
        unbuffered: Whether what it writes is seen at once.
        leads: Whether it begins a session of its own.
        descriptors: The numbers of the files that it has open, in the order in which they come.
    """

    module: str | None
    code: str | None
    arguments: list[str]
    line: list[str]
    folder: str
    environment: dict[str, str]
    path: list[str]
    bytecode: bool
    unbuffered: bool
    leads: bool
    descriptors: list[int]

    @classmethod
    def read(
        cls,
        line: Sequence[str],
        *,
        folder: str,
        environment: Mapping[str, str],
        leads: bool,
        descriptors: Sequence[int],
        known: Mapping[str, str],
    ) -> Self | None:
        """Read a command line; None if it is one that only Python itself understands.

        Args:
            line: The program and its arguments.
            folder: Where it runs.
            environment: Its variables.
            leads: Whether it begins a session.
            descriptors: Of which files it has.
            known: The variables of who would fork it: what Python itself reads has to be alike.
        """
        if any(
            environment.get(name) != known.get(name)
            for name in {*environment, *known}
            if (name.startswith(("PYTHON", "LC_")) or name == "LANG") and name not in _KNOWN
        ):
            return None
        rest = list(line[1:])
        safe = bool(environment.get("PYTHONSAFEPATH"))
        unbuffered = bool(environment.get("PYTHONUNBUFFERED"))
        module = code = None
        if line[0] == PARLEY or (line[0] == sys.executable and rest[:1] == [PARLEY]):
            module, safe = "parley_cli.start", True  # nothing else is where it stands
            rest = rest[line[0] == sys.executable :]
        elif line[0] != sys.executable:
            return None
        else:
            while rest and rest[0] in ("-P", "-u"):
                option = rest.pop(0)
                safe, unbuffered = safe or option == "-P", unbuffered or option == "-u"
            if len(rest) < 2 or rest[0] not in ("-m", "-c"):
                return None
            kind, what, *rest = rest
            if what not in (MODULES if kind == "-m" else (TAKE_TERMINAL,)):
                return None
            module, code = (what, None) if kind == "-m" else (None, what)
        before = [] if safe else [folder if code is None else ""]
        return cls(
            module=module,
            code=code,
            arguments=rest,
            line=list(line),
            folder=folder,
            environment=dict(environment),
            path=[*before, *filter(None, environment.get("PYTHONPATH", "").split(":"))],
            bytecode=not environment.get("PYTHONDONTWRITEBYTECODE"),
            unbuffered=unbuffered,
            leads=leads,
            descriptors=list(descriptors),
        )

    def told(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return asdict(self)
