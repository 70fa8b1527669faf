"""Makes one package in the folder that SAM names: `parley_packages.install FOLDER --into DIR`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import parley
from parley_backend import backend
from parley_packages.byte_code import compile_ahead
from parley_packages.from_source import install_sources
from parley_packages.own import Own, own_requirements
from parley_packages.requirements import group, project
from parley_packages.slim import slim
from parley_packages.target import Target, UnknownTarget, target_of_environment
from parley_project.faults import ProjectFaults
from parley_project.generated import PACKAGED_MIGRATIONS, packaged, write_manifest
from parley_project.project import FILE, Project, read_project

# `parley.testing` is for whoever tests agents.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "Makefile", "testing")


def install(
    source: Path,
    into: Path,
    requirements: str,
    target: Target,
    offered: Project | None = None,
    migrations: Path | None = None,
    own: Own | None = None,
) -> None:
    """Make the package of a layer or a function.

    Args:
        source: Its folder in the repository: below `layers` or `functions`.
        into: An empty folder.
        requirements: The locked dependencies that it carries.
        target: What it is made for.
        offered: The project whose code it has, with the manifest.
        migrations: The folder of the project's own migrations, for what runs them.
        own: What the project depends on, to go along.

    Raises:
        ProjectFaults: One of those cannot be built, or not for Lambda.
        subprocess.CalledProcessError: A dependency cannot be installed, or a module not compiled.
    """
    is_layer = source.parent.name == "layers"
    modules = into / "python" if is_layer else into
    modules.mkdir(parents=True, exist_ok=True)
    own = own or Own()
    if requirements or own.wheels:
        _install(requirements + own.wheels, modules, target)
    install_sources(own.sources, modules, target)
    if requirements or own.wheels or own.sources:
        slim(modules)
    for code, name in _code_of(source):
        shutil.copytree(code, modules / name, ignore=_LEFT_OUT, dirs_exist_ok=True)
    if offered is not None:
        write_manifest(packaged(offered.manifest), modules)
        for package in offered.packages:
            _copy(package, modules)
    if migrations is not None:
        shutil.copytree(migrations, modules / PACKAGED_MIGRATIONS, ignore=_LEFT_OUT)
    interpreter = target.interpreter()
    # Without it there is no byte code; parley_packages.sizes says so at the end of `make build`.
    if interpreter is not None:
        compile_ahead(modules, interpreter, becomes="/opt/python" if is_layer else "/var/task")


def _code_of(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield each folder of code that a package has, and below which name."""
    if source.parent.name == "functions":
        yield source, "."
        if source.name == "sessions":
            yield backend("web"), "web"
    elif source.name == "shared":
        yield Path(parley.__file__).parent, "parley"


def _install(requirements: str, into: Path, target: Target) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        subprocess.run(
            [
                Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--target", into,
                "--python-platform", target.platform, "--python-version", target.python,
                # The lock file has every dependency already; nothing may be built from source, as
                # that would be for this machine.
                "--no-deps", "--require-hashes", "--only-binary", ":all:",
                # Links would lead into uv's cache, where nothing must be changed.
                "--link-mode", "copy", "--requirements", file.name,
            ],
            check=True,
        )  # fmt: skip


def _copy(package: Path, into: Path) -> None:
    if package.is_file():
        shutil.copy2(package, into)
    else:
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, into / package.name, ignore=left_out, dirs_exist_ok=True)


def _project_file() -> Path:
    return Path(os.environ.get("PARLEY_PROJECT") or backend(FILE))


def _offered() -> Project:
    try:
        return read_project(_project_file())
    except ProjectFaults as faults:
        sys.exit(str(faults))


def main() -> None:
    """Read the command line, and the target from the environment."""
    parser = argparse.ArgumentParser(description="Makes the package of a layer or a function.")
    parser.add_argument("folder", type=Path, help="in the repository, like layers/shared")
    parser.add_argument("--into", type=Path, required=True, help="where the package goes")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--project", action="store_true", help="with Parley's own dependencies")
    which.add_argument("--code", action="store_true", help="the code of the project itself")
    which.add_argument("--group", help="with a group's, but for those in the shared layer")
    parser.add_argument("--migrations", action="store_true", help="with the project's own")
    parser.add_argument("--own", action="store_true", help="with those of the project itself")
    parser.add_argument("--without", action="append", default=[], help="leave out of the group")
    given = parser.parse_args()
    requirements, offered, migrations, own = "", None, None, Own()
    if given.migrations:
        migrations = _offered().migrations
    has_own_layer = _project_file() != backend(FILE)
    if given.code or (given.project and not has_own_layer):
        offered = _offered()
    if given.project:
        requirements = project()
    elif given.group:
        requirements = group(given.group, given.without)
    try:
        target = target_of_environment()
        if given.own and has_own_layer:
            own = own_requirements(_project_file(), target, given.without)
        source = backend() / given.folder
        install(source, given.into, requirements, target, offered, migrations, own)
    except (ProjectFaults, UnknownTarget) as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"The package of {given.folder} could not be made: {error}")


if __name__ == "__main__":
    main()
