"""The variables that a project's code reads: as listed, and as set on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from parley.config import Settings
from parley.manifest import Variable
from parley_project.faults import ProjectFaults
from parley_project.table import Table

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]+")
_LAMBDA = frozenset({"PATH", "LANG", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR"})
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def read_environment(table: Table) -> tuple[Variable, ...]:
    """Read `[tool.parley.environment]`."""
    variables = []
    settings = {name.upper() for name in Settings.model_fields}
    for name, each in table.tables("{ secret = true }"):
        if not _NAME.fullmatch(name):
            table.fault(name, "must be letters, digits and _, and begin with a letter")
        elif name.upper() in settings:
            table.fault(name, "is a setting of Parley's own, which needs no place here")
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


def local_values(
    variables: tuple[Variable, ...], root: Path, shell: Mapping[str, str]
) -> dict[str, str]:
    """Return the values of a project's variables on this machine.

    The shell's go before those of the file `.env`, and those before the defaults.

    Args:
        variables: What the project lists.
        root: The project's folder, where `.env` is.
        shell: The environment of the process that somebody has started.

    Raises:
        ProjectFaults: A variable that is required has no value, or `.env` cannot be read.
    """
    file = root / ".env"
    written = read_dotenv(file) if file.is_file() else {}
    values, missing = {}, []
    for variable in variables:
        name = variable.name
        value = shell.get(name) or written.get(name) or variable.default
        if value:
            values[name] = value
        elif variable.required:
            missing.append(
                f"{name} is not set, and [tool.parley.environment] requires it: set it in the"
                f" shell, or write {name}=… into {file}."
            )
    if missing:
        raise ProjectFaults(missing)
    return values


def read_dotenv(file: Path) -> dict[str, str]:
    """Read lines of `NAME=value`; quotes around a value are taken off, and `#` begins a comment.

    Raises:
        ProjectFaults: A line is something else; it is named by its number, not quoted.
    """
    values, faults = {}, []
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectFaults([f"{file}: cannot be read: {error}"]) from error
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            faults.append(f"{file}:{number}: must be NAME=value")
            continue
        values[found[1]] = _value(found[2])
    if faults:
        raise ProjectFaults(faults)
    return values


def _value(text: str) -> str:
    quoted = re.fullmatch(r"""(["'])(.*)\1\s*(#.*)?""", text)
    return quoted[2] if quoted else re.sub(r"(^|\s)#.*$", "", text).strip()
