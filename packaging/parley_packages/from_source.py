"""Installing what is no wheel yet: folders, repositories, archives of source."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path

from parley_packages.pylock import Locked
from parley_packages.target import Target
from parley_project.faults import ProjectFaults


def install_sources(sources: Iterable[Locked], into: Path, target: Target) -> None:
    """Build packages, and install each beside what is there.

    Args:
        sources: Which; what they depend on is not installed.
        into: Where the modules go.
        target: What they are for. What is built here is only good for it as Python alone.

    Raises:
        ProjectFaults: One cannot be built, or has compiled modules.
    """
    faults = []
    for source in sources:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "made"
            failed = _install(source, made)
            if failed is not None:
                faults.append(f"{source.requirement}: cannot be built: {failed}")
            elif compiled := _compiled_for(made):
                faults.append(
                    f"{source.requirement}: has compiled modules, which are made here for"
                    f" {compiled}; build a wheel of it for {target.platform}, and depend on that"
                )
            else:
                shutil.copytree(made, into, dirs_exist_ok=True)
    if faults:
        raise ProjectFaults(faults)


def _install(source: Locked, into: Path) -> str | None:
    """Build a package and install it into an empty folder; return what went wrong."""
    requirement = source.requirement
    if source.folder is not None:
        # Of folders uv would keep what it has built until their pyproject.toml changes.
        wheels = into.with_name("wheels")
        done = _uv("build", "--wheel", "--out-dir", wheels, source.folder)
        if done.returncode != 0:
            return done.stderr.strip()
        (wheel,) = wheels.glob("*.whl")
        requirement = str(wheel)
    done = _uv(
        "pip", "install", "--no-deps", "--target", into, "--link-mode", "copy", requirement
    )  # fmt: skip
    return done.stderr.strip() if done.returncode != 0 else None


def _uv(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            Path(sys.executable).with_name("uv"), *arguments, "--quiet",
            "--python", sys.executable, "--no-python-downloads",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def _compiled_for(folder: Path) -> str | None:
    """Return what an installed distribution's compiled modules are for; None if it has none."""
    (about,) = folder.glob("*.dist-info/WHEEL")
    tags = HeaderParser().parsestr(about.read_text(encoding="utf-8")).get_all("Tag", [])
    return next((tag for tag in tags if not tag.endswith("-none-any")), None)
