"""The directory where `make dev` keeps all that it keeps, and who may use it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from parley.errors import ParleyError

_ADDRESS_FILE = "dev.json"
_LOCK_FILE = "dev.lock"


class DirectoryInUse(ParleyError):
    """Another `make dev` runs on the directory. `pid` is its process, where it said so."""

    def __init__(self, directory: Path, pid: str) -> None:
        super().__init__(f"{directory} is used by process {pid or '?'}")
        self.directory = directory
        self.pid = pid


@dataclass(frozen=True)
class Address:
    """Where a running `make dev` answers, and its process."""

    url: str
    pid: int


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make the directory where needed and keep every other `make dev` out of it.

    The lock is the kernel's: it goes with the process, however that ends.

    Raises:
        DirectoryInUse: Another process has it.
        OSError: The directory cannot be made or written.
    """
    # Whoever can read the issuer's key in it can be any user.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / _LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise DirectoryInUse(directory, file.read().strip()) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextmanager
def published(directory: Path, address: Address) -> Iterator[None]:
    """Let `read_address` find this address until the block is left."""
    file = directory / _ADDRESS_FILE
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(asdict(address)) + "\n")
    draft.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def forget_address(directory: Path) -> None:
    """Remove what a `make dev` that was killed announced."""
    (directory / _ADDRESS_FILE).unlink(missing_ok=True)


def read_address(directory: Path) -> Address | None:
    """Return where `make dev` on this directory answers; None when none runs.

    Raises:
        ValueError: The file is there but cannot be read.
    """
    file = directory / _ADDRESS_FILE
    try:
        entries = json.loads(file.read_text())
        address = Address(url=str(entries["url"]), pid=int(entries["pid"]))
        # One that was killed could not take its address back.
        os.kill(address.pid, 0)
        return address
    except (FileNotFoundError, ProcessLookupError):
        return None
    except PermissionError:
        return None  # the number is another user's process now
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
