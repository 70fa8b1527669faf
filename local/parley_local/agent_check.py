"""Building each agent that is offered, when `make dev` starts: what is wrong with one is said then.

Run as `python -m parley_local.agent_check FILE` in a process of its own, with the functions'
variables: an agent's module may do anything when it is imported, and the Agents SDK takes its time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from parley_local.process_group import kill_group


async def check_agents(variables: Mapping[str, str], report: Path) -> frozenset[str] | None:
    """Build the agents in another process, which logs what is wrong; it ends with this.

    Args:
        variables: The environment of the functions.
        report: A file that the process writes, which is not there yet.

    Returns:
        The names of the agents that cannot be built; None if the process ended before it knew.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "parley_local.agent_check",
        str(report),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=2,
        env=dict(variables),
        start_new_session=True,
    )
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            await kill_group(process)
    return _reported(report)


def _reported(report: Path) -> frozenset[str] | None:
    if not report.is_file():
        return None
    return frozenset(json.loads(report.read_text(encoding="utf-8")))


def main(report: str) -> int:
    """Build every agent that is offered, and write the names of those that cannot be."""
    os.nice(10)  # whoever sends a first message meanwhile is not to wait for this
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    from parley.agents.registry import load
    from parley.manifest import manifest
    from parley.observability import logger, traced
    from parley.runner.prepare import prepare

    broken = []
    for name in manifest().agents:
        try:
            prepare(load(name))
        except Exception as error:
            broken.append(name)
            # Where it went wrong begins below the call here.
            below = error.__traceback__ and error.__traceback__.tb_next
            facts = traced(error.with_traceback(below), quoting=True)
            logger().error("the agent cannot be built", agent=name, **facts)
    Path(report).write_text(json.dumps(broken), encoding="utf-8")
    return 0


def _end_with(parent: int) -> None:
    """End this process when `make dev` is gone, though an agent's module hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
