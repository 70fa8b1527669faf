"""Building a project's agents and routes before it is served, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from parley_local.function_variables import function_variables
from parley_local.process_group import how_it_ended, kill_group
from parley_project.environment import local_values, with_dotenv
from parley_project.faults import ProjectFaults
from parley_project.file import find_project, shown
from parley_project.generated import python_path
from parley_project.project import Project, read_project


def check_project(start: Path, shell: Mapping[str, str]) -> Project:
    """Read a project, and build its agents with the variables that `parley dev` gives them.

    It is returned with what its code tells of it: paths, MCP servers, warnings.

    Variables that the project requires may be missing.

    Args:
        start: The project's folder, or one below it.
        shell: The environment of the process that somebody has started.

    Raises:
        ProjectFaults: All that is wrong with `[tool.parley]`, or else with the agents.
    """
    project = read_project(find_project(start))
    own = local_values(project.manifest.environment, project.root, shell, all_required=False)
    with TemporaryDirectory(prefix="parley-check-") as folder:
        variables = function_variables(
            with_dotenv(project.root, shell), data_dir=Path(folder), runtime_url="", jwks_url=""
        )
        path = python_path(project, Path(folder), variables.get("PYTHONPATH", ""))
        return asyncio.run(check_agents(project, {**variables, **own, "PYTHONPATH": path}))


async def check_agents(project: Project, variables: Mapping[str, str]) -> Project:
    """Build a project's agents in another process, which ends with this, and import all it names.

    Args:
        project: Whose agents.
        variables: The environment of its functions.

    Returns:
        The project, with the paths of its routes, the MCP servers of its agents, and what to warn
        of.

    Raises:
        ProjectFaults: What is wrong with them; below a sentence there may be a traceback.
    """
    with TemporaryDirectory(prefix="parley-check-") as folder:
        report = Path(folder) / "report.jsonl"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "parley_project.agents",
            shown(project.file),
            str(report),
            json.dumps(dict(project.commands)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=2,
            # Tracebacks are written for people.
            env={**variables, "LOG_FORMAT": "text", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                await kill_group(process)
        said = report.read_text(encoding="utf-8") if report.is_file() else ""
    lines = [json.loads(line) for line in said.splitlines()]
    _raise_reported(project, lines, code)
    return replace(
        project,
        paths=tuple(line["path"] for line in lines if "path" in line),
        mcp_servers=tuple(
            (line["offered"], f"{line['agent']} has the MCP server {line['server']}")
            for line in lines
            if "server" in line
        ),
        warnings=(
            *project.warnings,
            *(line["warning"] for line in lines if "warning" in line),
        ),
    )


def _raise_reported(project: Project, lines: list[dict[str, str | None]], code: int) -> None:
    sentences: list[str] = []
    running: str | None = "[tool.parley]"
    for line in lines:
        if "sentence" in line:
            below = textwrap.indent(line["traceback"] or "", "    ")
            sentences.append(f"{line['sentence']}\n{below}".rstrip())
        elif "running" in line:
            running = line["running"]
    if running is not None:
        ended = f"it ended the process: {how_it_ended(code)}"
        sentences.append(f"{shown(project.file)}: {running}: {ended}")
    if sentences:
        raise ProjectFaults(sentences)
