"""A project like this repository's own, with an agent more: one whose tools ask for approval."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def refunds_project(folder: Path) -> Path:
    """Make the project in a folder, and return its root."""
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["parley"]
    sources = [ROOT / each for each in own["source"]] + [ROOT / "tests/support/desks"]
    lines = ["[tool.parley]", f'default = "{own["default"]}"']
    lines += [f"source = {[str(each) for each in sources]}"]
    lines += ['migrations = "migrations"']
    lines += [f"{name} = {own[name]!r}" for name in ("user_data", "routes", "offline")]
    for name, agent in own["agents"].items():
        lines += [f"[tool.parley.agents.{name}]", f'target = "{agent["target"]}"']
        lines += [f'description = "{agent["description"]}"']
    lines += ["[tool.parley.agents.refunds]", 'target = "refunds_desk.agent:build"']
    lines += ['description = "Sees to orders, and asks before it does."']
    shutil.copytree(ROOT / own["migrations"], folder / "migrations")
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n")
    return folder
