"""Where a project is: the `pyproject.toml` that has `[tool.parley]`."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from parley_project.faults import ProjectFaults

FILE = "pyproject.toml"


def project_above(start: Path) -> Path | None:
    """Return the `pyproject.toml` that has `[tool.parley]`, in a folder or one above it, if any.

    Raises:
        ProjectFaults: One on the way is no TOML.
    """
    for file in _files_above(start):
        if section_of(file) is not None:
            return file
    return None


def find_project(start: Path) -> Path:
    """Find the `pyproject.toml` that has `[tool.parley]`, in a folder or one above it.

    Args:
        start: The folder to begin in.

    Returns:
        Its path.

    Raises:
        ProjectFaults: There is none, or one on the way is no TOML.
    """
    if (found := project_above(start)) is not None:
        return found
    if passed := _files_above(start):
        missing = "[tool.parley] is missing: it says which agents are offered"
        raise ProjectFaults([f"{shown(passed[0])}: {missing}{_meant(passed[0])}."])
    raise ProjectFaults(
        [
            f"There is no {FILE} with [tool.parley] in {start.resolve()} or above it;"
            " parley init NAME makes a project."
        ]
    )


def _meant(file: Path) -> str:
    """Return a table of a file that is perhaps meant to be Parley's, for a sentence."""
    tools = tomllib.loads(file.read_text(encoding="utf-8")).get("tool")
    near = get_close_matches("parley", tools if isinstance(tools, dict) else (), 1, 0.75)
    return f"; is [tool.{near[0]}] meant to be it?" if near else ""


def _files_above(start: Path) -> list[Path]:
    folders = (start.resolve(), *start.resolve().parents)
    return [folder / FILE for folder in folders if (folder / FILE).is_file()]


def section_of(file: Path) -> dict[str, Any] | None:
    """Return `[tool.parley]` of a file; None if it has none.

    Raises:
        ProjectFaults: It cannot be read, or is no TOML.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectFaults([f"{shown(file)}: it is no TOML: {error}"]) from error
    except OSError as error:
        raise ProjectFaults([f"{shown(file)}: cannot be read: {error.strerror}"]) from error
    tool = document.get("tool")
    section = tool.get("parley") if isinstance(tool, dict) else None
    if section is not None and not isinstance(section, dict):
        raise ProjectFaults([f"{shown(file)}: [tool] parley: must be a table"])
    return section


def shown(file: Path) -> str:
    """Return a file as its reader finds it: from the working directory, if it is below that."""
    path, here = file.resolve(), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
