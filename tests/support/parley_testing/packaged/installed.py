"""Parley from a wheel, in an environment and a folder that have nothing of its source."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from parley_testing.packaged.emulator import architecture
from parley_testing.packaged.packages import ROOT
from parley_testing.waiting import HANG_SECONDS

_PACKAGES = ("UV_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "http_", "https_")
_UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder to work in."""

    bin: Path
    folder: Path
    cache: str

    @property
    def environ(self) -> dict[str, str]:
        """What a shell with this environment has, and nothing of this process's own."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.defpath}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            # Where packages come from is this machine's matter.
            "UV_CACHE_DIR": self.cache,
            **{name: value for name, value in os.environ.items() if name.startswith(_PACKAGES)},
        }

    def run(self, *command: str, within: str = ".", **variables: str) -> CompletedProcess[str]:
        """Run one of its programs in the folder, or in one below it."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder / within,
            env=self.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )

    def build(self, project: str, into: Path, **variables: str) -> CompletedProcess[str]:
        """Run `parley build` in a project, for this machine's processor and Python.

        Args:
            project: Its folder.
            into: Where the build goes.
            variables: More of the environment.
        """
        return self.run(
            "parley", "build", "--architecture", architecture(), "--build-dir", str(into),
            within=project, PARLEY_PYTHON="{}.{}".format(*sys.version_info), **variables,
        )  # fmt: skip

    def build_packages(
        self, project: str, into: Path, *, but: Collection[str], **variables: str
    ) -> CompletedProcess[str]:
        """Make the packages that `parley build` makes, as SAM has them made, and nothing else.

        Args:
            project: The project's folder.
            into: Where they go.
            but: Those that are left out, by their logical ids.
            variables: More of the environment.
        """
        found = self.run("python", "-c", "from parley_backend import backend; print(backend())")
        for makefile in sorted(Path(found.stdout.strip()).glob("*/*/Makefile")):
            (target,) = re.findall(r"^(build-(\w+)):", makefile.read_text(), re.MULTILINE)
            if target[1] in but:
                continue
            (into / target[1]).mkdir(parents=True)
            done = self.run(
                "/usr/bin/env", "make", "--file", str(makefile), target[0],
                within=project, ARTIFACTS_DIR=str(into / target[1]), ARCH=architecture(),
                PARLEY_BUILDER=str(self.bin / "python"),
                PARLEY_PROJECT=str(self.folder / project / "pyproject.toml"),
                PARLEY_PYTHON="{}.{}".format(*sys.version_info), **variables,
            )  # fmt: skip
            if done.returncode != 0:
                break
        return done

    def add(self, *packages: str | Path) -> None:
        """Install packages into the environment, as a project's author does."""
        uv("pip", "install", "--python", self.bin / "python", *packages)

    @contextmanager
    def served(self, project: str, log: Path) -> Iterator[subprocess.Popen[str]]:
        """Run `parley dev` of a project, on any free port; the block's end has to stop it."""
        with log.open("w") as output:
            dev = subprocess.Popen(
                [self.bin / "parley", "dev", "--port", "0"],
                cwd=self.folder / project, env=self.environ, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, text=True,
            )  # fmt: skip
        try:
            yield dev
        finally:
            if dev.poll() is None:
                dev.kill()
            dev.wait(HANG_SECONDS)


def install(made: Path) -> Installed:
    """Install the wheel into a fresh environment, with the versions of the lock file beside it.

    Args:
        made: An empty folder for all of it.
    """
    bin_, requirements = made / "venv" / "bin", made / "requirements.txt"
    uv("build", "--wheel", "--out-dir", made / "dist", ROOT)
    (wheel,) = (made / "dist").glob("*.whl")
    uv("venv", "--no-project", "--python", sys.executable, bin_.parent)
    uv(
        "export", "--project", ROOT, "--frozen", "--no-emit-project", "--no-default-groups",
        "--extra", "deploy", "--output-file", requirements,
    )  # fmt: skip
    into = ("pip", "install", "--python", bin_ / "python", "--no-deps")
    uv(*into, "--requirements", requirements)
    _with_byte_code(bin_)
    uv(*into, wheel)
    folder = made / "work"
    folder.mkdir()
    cache = subprocess.run([_UV, "cache", "dir"], capture_output=True, text=True, check=True)
    return Installed(bin_, folder, cache.stdout.strip())


def _with_byte_code(bin_: Path) -> None:
    """Give libraries the byte code that this environment's have, which have the same versions.

    Each process that first imports one would compile it, for six seconds of all. A module whose
    source is another stays without, and Parley's own come later.
    """
    paths = [
        sysconfig.get_path("purelib", vars={"base": base}) for base in (sys.prefix, bin_.parent)
    ]
    here, there = map(Path, paths)
    for compiled in here.rglob(f"__pycache__/*.{sys.implementation.cache_tag}.pyc"):
        name = f"{compiled.name.split('.')[0]}.py"
        source = compiled.parent.with_name(name)
        copy = there / source.relative_to(here)
        if copy.is_file() and source.is_file() and filecmp.cmp(source, copy, shallow=False):
            shutil.copystat(source, copy)  # it is valid for a source of this date only
            copy.parent.joinpath("__pycache__").mkdir(exist_ok=True)
            shutil.copyfile(compiled, copy.parent / "__pycache__" / compiled.name)


def copy_project(source: Path, into: Path) -> None:
    """Copy a project, without what commands have left in it."""
    left = shutil.ignore_patterns("__pycache__", ".parley", ".aws-sam", ".pytest_cache")
    shutil.copytree(source, into, ignore=left)


def uv(*arguments: str | Path) -> None:
    """Run uv."""
    done = subprocess.run([_UV, arguments[0], "--quiet", *arguments[1:]], stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
