"""The variables that a project's code reads: as listed, and as set on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from parley.config import Settings
from parley.manifest import Variable
from parley.project_variables import ARN_SUFFIX
from parley_project.faults import ProjectFaults
from parley_project.table import Table

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_LAMBDA = frozenset({"PATH", "LANG", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR"})


def read_environment(table: Table) -> tuple[Variable, ...]:
    """Read `[tool.parley.environment]`."""
    variables: list[Variable] = []
    settings = {name.upper() for name in Settings.model_fields}
    for name, each in table.tables("{ secret = true }"):
        if not _NAME.fullmatch(name):
            table.fault(name, "must be letters, digits and _, and begin with a letter")
        elif name.upper() in settings:
            table.fault(name, "is a setting of Parley's own, which needs no place here")
        elif name.endswith(ARN_SUFFIX):
            table.fault(name, f"ends in {ARN_SUFFIX}, as does what gives a secret to a deployment")
        elif any(_words(name) == _words(other.name) for other in variables):
            table.fault(name, "differs from another only by letters' case and underscores")
        elif name in _LAMBDA or name.startswith(("AWS_", "LAMBDA_", "PARLEY_", "POWERTOOLS_")):
            table.fault(name, "is taken: by AWS Lambda, by Parley, or by what runs them")
        secret = each.flag("secret") or False
        default = each.text("default")
        required = each.flag("required")
        if secret and default is not None:
            each.fault("default", "a secret has none; say required = false if it may be missing")
        if required and default is not None:
            each.fault("required", "what has a default is not required")
        each.end()
        variables.append(
            Variable(name, secret, default is None if required is None else required, default)
        )
    return tuple(variables)


def _words(name: str) -> str:
    """Return what a name comes to as that of a parameter of the template."""
    return name.replace("_", "").lower()


def with_dotenv(root: Path, shell: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of this machine: the shell's, and those of `.env` that it has not.

    Args:
        root: The project's folder, where `.env` may be.
        shell: The environment of the process that somebody has started.

    Raises:
        ProjectFaults: `.env` cannot be read.
    """
    file = root / ".env"
    written = read_dotenv(file) if file.is_file() else {}
    return {**written, **{name: value for name, value in shell.items() if value}}


def local_values(
    variables: tuple[Variable, ...],
    root: Path,
    shell: Mapping[str, str],
    *,
    all_required: bool = True,
) -> dict[str, str]:
    """Return the values of a project's variables on this machine.

    The shell's go before those of the file `.env`, and those before the defaults.

    Args:
        variables: What the project lists.
        root: The project's folder, where `.env` is.
        shell: The environment of the process that somebody has started.
        all_required: Whether one that is required must have a value.

    Raises:
        ProjectFaults: A variable that is required has no value, or `.env` cannot be read.
    """
    if all_required and (missing := missing_values(variables, root, shell)):
        raise ProjectFaults(missing)
    set_here = with_dotenv(root, shell)
    given = {each.name: set_here.get(each.name) or each.default for each in variables}
    return {name: value for name, value in given.items() if value}


def missing_values(
    variables: tuple[Variable, ...], root: Path, shell: Mapping[str, str]
) -> list[str]:
    """Return a sentence for each variable that is required and has no value on this machine.

    Args:
        variables: What the project lists.
        root: The project's folder, where `.env` is.
        shell: The environment of the process that somebody has started.

    Raises:
        ProjectFaults: `.env` cannot be read.
    """
    set_here = with_dotenv(root, shell)
    return [
        f"{each.name} is not set, and [tool.parley.environment] requires it: set it in the"
        f" shell, or write {each.name}=… into {root / '.env'}."
        for each in variables
        if each.required and not (set_here.get(each.name) or each.default)
    ]


def read_dotenv(file: Path) -> dict[str, str]:
    """Read lines of `NAME=value`, as python-dotenv reads them, without filling in variables.

    Raises:
        ProjectFaults: A line is something else; it is named by its number, not quoted.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectFaults([f"{file}: cannot be read: {error}"]) from error
    values, faults = {}, []
    for line in parse_stream(StringIO(text)):
        if line.key is not None and line.value is not None:
            values[line.key] = line.value
        elif line.error or line.key is not None:
            # What is read of a line begins with the empty ones above it.
            above = line.original.string[: -len(line.original.string.lstrip())]
            faults.append(f"{file}:{line.original.line + above.count(chr(10))}: must be NAME=value")
    if faults:
        raise ProjectFaults(faults)
    return values
