"""Commands that take a project to AWS: `parley build`, `deploy` and `template`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from parley_cli.errors import CommandFailed
from parley_cli.project import HERE, ProjectFolder, checked

if TYPE_CHECKING:
    from parley_project.project import Project


_NESTED = "monitoring.yaml"


class Architecture(StrEnum):
    """The processors that Lambda has."""

    ARM64 = "arm64"
    X86_64 = "x86_64"


Processor = Annotated[
    Architecture, typer.Option("--architecture", envvar="ARCH", help="What the functions run on.")
]
BuildDir = Annotated[
    Path | None,
    typer.Option("--build-dir", help=".aws-sam/build in the project's folder if none."),
]


def build(
    project: ProjectFolder = HERE,
    architecture: Processor = Architecture.ARM64,
    build_dir: BuildDir = None,
) -> None:
    """Check the project, package it and Parley for Lambda, and print the sizes.

    What [project] lists as dependencies goes into the layer of the functions that run agents. No
    Docker is needed. What Lambda would refuse fails the build.
    """
    _build(checked(project), architecture, build_dir)


def template() -> None:
    """Print Parley's SAM template, for a project that wants one of its own.

    Kept in the project and named in [tool.parley] as template, it takes the place of Parley's for
    parley dev, build and deploy; parley check says what it lacks after an upgrade.
    """
    from parley_backend import backend

    typer.echo(backend("template.yaml").read_text(encoding="utf-8"), nl=False)


def deploy(
    parameters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]…", help="Parameters over those of samconfig.toml."),
    ] = None,
    project: ProjectFolder = HERE,
    env: Annotated[
        str, typer.Option("--env", help="An environment of the project's samconfig.toml.")
    ] = "default",
    architecture: Processor = Architecture.ARM64,
    build_dir: BuildDir = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Take the deployment down instead.")
    ] = False,
) -> None:
    """Build the project, and deploy it into your AWS account.

    The secrets' ARNs are taken from DATABASE_SECRET_ARN, DATABASE_RUNTIME_SECRET_ARN and
    OPENAI_SECRET_ARN. What is missing is said before anything is built.
    """
    found = checked(project)
    if not (found.root / "samconfig.toml").is_file():
        raise CommandFailed(
            f"{found.root} has no samconfig.toml, which names the stack; parley init writes one."
        )
    folder = _build_dir(found, build_dir)
    command = [
        sys.executable, "-P", "-m", "parley_deploy", "--project", str(found.root), "--env", env,
        "--build", str(folder), "--architecture", architecture,
    ]  # fmt: skip
    if delete:
        _run([*command, "--delete"], {})
        return
    given = parameters or []
    _run([*command, "--check", *given], {})
    _build(found, architecture, folder)
    _run([*command, *given], {})


def _build(project: Project, architecture: Architecture, build_dir: Path | None) -> None:
    sam = Path(sys.executable).with_name("sam")
    if not sam.is_file():
        raise CommandFailed("Not installed yet: pip install 'parley-serverless[deploy]'")
    folder = _build_dir(project, build_dir)
    with TemporaryDirectory(prefix="parley-build-") as staged:
        file, root = _staged(project, Path(staged))
        _run(
            [
                str(sam), "build", "--template", str(file), "--base-dir", str(root),
                # Never from SAM's cache, which does not see a change of a lock file.
                "--build-dir", str(folder), "--no-cached", "--parallel",
                "--parameter-overrides", f"Architecture={architecture}",
            ],
            {
                "ARCH": architecture, "PARLEY_BUILDER": sys.executable,
                "PARLEY_PROJECT": str(project.file), "SAM_CLI_TELEMETRY": "0",
                # SAM wants one, though it asks nobody there.
                "AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION", "eu-west-1"),
            },
        )  # fmt: skip
    _run([sys.executable, "-P", "-m", "parley_packages.sizes", str(folder)], {})


def _staged(project: Project, folder: Path) -> tuple[Path, Path]:
    """Return a project's template where SAM finds what it nests, and the root of its other paths.

    It has what the project adds: its variables, and what asks for its migrations.

    An alarms' template beside the project's own is taken; else it is Parley's.
    """
    from parley_backend import backend
    from parley_local.own_template import template_of
    from parley_packages.project_template import project_template

    file, root = template_of(project)
    if project.template is not None:
        beside = file.with_name(_NESTED)
        shutil.copy(file, folder / "template.yaml")
        shutil.copy(beside if beside.is_file() else backend(_NESTED), folder / _NESTED)
        file = folder / "template.yaml"
    return project_template(project, file, folder), root


def _build_dir(project: Project, given: Path | None) -> Path:
    return (given or project.root / ".aws-sam" / "build").resolve()


def _run(command: list[str], variables: dict[str, str]) -> None:
    """Run a program, which says itself what went wrong; its status is this command's."""
    sys.stdout.flush()
    done = subprocess.run(command, env=os.environ | variables, check=False)
    if done.returncode != 0:
        raise typer.Exit(done.returncode)
