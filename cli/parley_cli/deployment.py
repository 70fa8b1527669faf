"""Commands that take a project to AWS: `parley build` and `parley deploy`."""

from __future__ import annotations

import os
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parley_cli.errors import CommandFailed
from parley_cli.project import HERE, ProjectFolder, checked
from parley_cli.screen import note

if TYPE_CHECKING:
    from parley_project.project import Project


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
    from parley_backend import backend

    sam = Path(sys.executable).with_name("sam")
    if not sam.is_file():
        raise CommandFailed("Not installed yet: pip install 'parley-serverless[deploy]'")
    for variable in project.manifest.environment:
        note(f"{variable.name} is not given to the functions: that is still to come.")
    folder = _build_dir(project, build_dir)
    _run(
        [
            str(sam), "build", "--template", str(backend("template.yaml")), "--build-dir",
            # Never from SAM's cache, which does not see a change of a lock file.
            str(folder), "--no-cached", "--parallel",
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


def _build_dir(project: Project, given: Path | None) -> Path:
    return (given or project.root / ".aws-sam" / "build").resolve()


def _run(command: list[str], variables: dict[str, str]) -> None:
    """Run a program, which says itself what went wrong; its status is this command's."""
    sys.stdout.flush()
    done = subprocess.run(command, env=os.environ | variables, check=False)
    if done.returncode != 0:
        raise typer.Exit(done.returncode)
