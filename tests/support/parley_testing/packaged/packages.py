"""The packages of `make package`, made for this machine and unpacked as Lambda unpacks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

from parley_local.template import Function
from parley_local.template_file import read_template
from parley_packages.built import Built, read_build
from parley_packages.zips import make_zip
from parley_testing.packaged.emulator import Unpacked, architecture
from parley_testing.run.at_length import AT_LENGTH

ROOT = Path(__file__).parents[4]

RUNTIME_MODULES = (
    "awslambdaric", "simplejson", "snapshot_restore_py", "runtime_client",
    "boto3", "botocore", "s3transfer", "dateutil", "six", "urllib3", "jmespath",
)  # fmt: skip
"""What Lambda has in `/var/runtime`."""


@dataclass(frozen=True)
class Packages:
    """What was made and where it lies.

    Attributes:
        built: What SAM left.
        zips: The zips, by logical id, of those that were zipped.
        unpacked: The functions, by logical id.
        functions: What the built template says of them.
    """

    built: Built
    zips: dict[str, Path]
    unpacked: dict[str, Unpacked]
    functions: dict[str, Function]


LARGE = ("SharedLayer", "AgentsLayer")
"""The layers of libraries, which take most of a build."""


def make_packages(directory: Path) -> Packages:
    """Run `make package` for this machine, and unpack the zips.

    Zipping the large layers takes as long as starting five functions: `make test` has `make build`
    run, zips the others, and takes those as they were built.

    Args:
        directory: Where everything goes.

    Raises:
        AssertionError: It failed; with what it printed.
    """
    build, zips = directory / "build", directory / "zips"
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(
        [
            "make", "--file=packaging/targets.mk", "--old-file=.venv/.test",
            "package" if AT_LENGTH else "build",
            f"BIN={Path(sys.executable).parent}", f"ARCH={architecture()}",
            "PARLEY_PYTHON={}.{}".format(*sys.version_info), f"BUILD_DIR={build}",
            f"PACKAGES_DIR={zips}",
        ],
        cwd=ROOT,
        env=outer,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout
    if not AT_LENGTH:
        zips.mkdir()
        for name, folder in read_build(build).folders.items():
            if name not in LARGE:
                make_zip(folder, zips / f"{name}.zip")
    return unpack(build, directory, zips)


def unpack(build: Path, directory: Path, zips: Path | None = None) -> Packages:
    """Unpack zips as Lambda does, or lay what they would be made of where it unpacks them.

    Args:
        build: What `sam build` left.
        directory: Where everything goes.
        zips: What `parley_packages.zips` made of it, or of some; None where nobody looks at them.
    """

    def lay(name: str, into: Path) -> None:
        if name not in packed:
            shutil.copytree(built.folders[name], into, copy_function=os.link, dirs_exist_ok=True)
        else:
            _unzip(packed[name], into)

    built = read_build(build)
    packed = {} if zips is None else {path.stem: path for path in zips.glob("*.zip")}
    runtime = _runtime(directory / "runtime")
    template = read_template(build / "template.yaml")
    unpacked: dict[str, Unpacked] = {}
    for name, layers in built.layers.items():
        task, opt = directory / "task" / name, directory / "opt" / "-".join(layers)
        lay(name, task)
        if not opt.exists():
            for layer in layers:
                lay(layer, opt)
        unpacked[name] = Unpacked(task, opt, runtime)
    return Packages(
        built=built,
        zips=packed,
        unpacked=unpacked,
        functions=dict(template.functions),
    )


def _runtime(directory: Path) -> Path:
    """Make a folder of what the runtime has, and nothing else of this environment."""
    directory.mkdir()
    for name in RUNTIME_MODULES:
        spec = find_spec(name)
        assert spec is not None, f"{name} is not installed"
        assert spec.origin is not None
        found = Path(spec.origin)
        found = found.parent if found.name == "__init__.py" else found
        (directory / found.name).symlink_to(found)
    return directory


def _unzip(path: Path, into: Path) -> None:
    with ZipFile(path) as packed:
        for entry in packed.infolist():
            # As Lambda does, and zipfile does not.
            Path(packed.extract(entry, into)).chmod(entry.external_attr >> 16 & 0o777)
