"""A real Redis for the time of a bench, where one can be had without installing anything.

That is `redis-server` on the path, or on Debian and its like the packages of that name, which are
fetched by apt and unpacked into a folder that goes with the bench.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1")
_PATIENCE_SECONDS = 30


@contextmanager
def redis_server(folder: Path) -> Iterator[int | None]:
    """Start one on loopback and give its port; None where there is none to be had.

    It appends to a file and has it on the disk every second, as one that keeps conversations does.

    Args:
        folder: For all its files.
    """
    found = _found(folder)
    if found is None:
        yield None
        return
    program, libraries = found
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "",
         "--appendonly", "yes"],
        env=os.environ | {"LD_LIBRARY_PATH": libraries},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def _found(folder: Path) -> tuple[Path, str] | None:
    """Return the program and where its libraries are."""
    installed = shutil.which("redis-server")
    if installed:
        return Path(installed), ""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    packages = folder / "packages"
    packages.mkdir(parents=True)
    fetched = subprocess.run(
        ["apt-get", "download", *_PACKAGES], cwd=packages, capture_output=True, check=False
    )
    if fetched.returncode != 0:
        return None
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True)
    libraries = ":".join(map(str, (folder / "unpacked" / "usr" / "lib").iterdir()))
    return folder / "unpacked" / "usr" / "bin" / "redis-server", libraries


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise RuntimeError(f"redis-server did not start, or ended with {process.returncode}")
