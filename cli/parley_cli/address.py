"""Which Parley to talk to, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from parley_cli.clean import clean_line
from parley_cli.errors import CommandFailed

DATA_DIR = Path(".parley")
"""The data directory of `parley dev`, unless another is named."""


def located(data_dir: Path) -> Path:
    """Return where a data directory is.

    Who names none means that of the project which the working directory is in; in no project, that
    of the checkout, where Parley is installed from one.
    """
    if data_dir != DATA_DIR:
        return data_dir
    from parley_project.faults import ProjectFaults
    from parley_project.file import find_project

    try:
        root = find_project(Path()).parent
    except ProjectFaults:  # it is in none, or nobody can read whose it is
        from parley_backend import backend

        root = Path() if data_dir.exists() else backend()
    found = root / DATA_DIR
    return data_dir if root == Path.cwd() or not found.is_dir() else found


@dataclass(frozen=True)
class Target:
    """Where requests go, and the bearer token that goes with them."""

    url: str
    token: str


def find_target(
    environ: Mapping[str, str],
    *,
    url: str | None,
    data_dir: Path,
    user: str | None,
    admin: bool = False,
) -> Target:
    """Find the API and a token for it.

    The address is the one given, else PARLEY_URL, else that of `make dev` on the data directory.
    The token is PARLEY_TOKEN unless a user is named, else the local issuer's, which goes to
    `make dev` of that directory and nowhere else; with the scope `parley:admin` where asked for.

    Raises:
        CommandFailed: There is no address, or no token that may be sent there.
    """
    data_dir = located(data_dir)
    local = local_url(data_dir)
    chosen = find_url(environ, url=url, data_dir=data_dir)
    if (given := environ.get("PARLEY_TOKEN", "").strip()) and user is None:
        if not (given.isascii() and given.isprintable()):
            raise CommandFailed("PARLEY_TOKEN is no token.")
        return Target(chosen, given)
    if local is None or not same_place(chosen, local):
        raise CommandFailed(
            f"The local issuer's tokens are for parley dev on {data_dir.absolute()} only, which is "
            f"not {chosen}. Set PARLEY_TOKEN."
        )
    return Target(chosen, local_token(data_dir, user or "local", admin=admin))


def find_url(environ: Mapping[str, str], *, url: str | None, data_dir: Path) -> str:
    """Find the API: the address given, else PARLEY_URL, else that of `make dev`; no slash ends it.

    Raises:
        CommandFailed: There is no address.
    """
    data_dir = located(data_dir)
    chosen = url or environ.get("PARLEY_URL") or local_url(data_dir)
    if chosen is None:
        raise CommandFailed(
            f"parley dev is not running on {data_dir.absolute()}. Start it; or run this in the "
            "folder of a project where it runs, or name that one's with --data-dir, or another API "
            "with --url or PARLEY_URL."
        )
    _check(chosen)
    return chosen.rstrip("/")


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        # What has a space or the like in it, no client would take.
        parts.port  # noqa: B018  (which raises where it is none)
        fits = parts.scheme in ("http", "https") and parts.hostname and url.isprintable()
    except ValueError:
        fits = False
    if not fits or " " in url:
        raise CommandFailed(f"{clean_line(url)} is not an http or https address.")


def same_place(one: str, other: str) -> bool:
    """Return whether two addresses are one server: loopback by any of its names is one host."""
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, str, int | None]:
    from parley_client.exchange import is_loopback

    parts = urlsplit(url)
    host = "loopback" if is_loopback(url) else (parts.hostname or "")
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError as error:
        raise CommandFailed(f"{url} has no port that can be used.") from error
    return parts.scheme, host, port


def local_url(data_dir: Path) -> str | None:
    """Return where `make dev` on the data directory says it answers; None when it does not run.

    Raises:
        CommandFailed: What it left there cannot be read, or its part is not installed.
    """
    try:
        from parley_local.data_directory import read_address
    except ImportError:
        return None  # a client of a deployed Parley, without the local parts
    try:
        address = read_address(data_dir)
    except (OSError, ValueError) as error:
        raise CommandFailed(str(error)) from error
    return address.url if address else None


def local_token(data_dir: Path, user: str, *, admin: bool = False) -> str:
    """Return a token of the local issuer.

    Raises:
        CommandFailed: The issuer is not installed, refuses the name, or has no usable key.
    """
    try:
        from parley_local.issuer import has_key, issue_token
    except ImportError as error:
        raise CommandFailed(f"The local issuer is not installed: {error}.") from error
    if not has_key(data_dir):
        raise CommandFailed(
            f"parley dev has not run on {data_dir.absolute()} yet, so nobody knows its tokens."
        )
    try:
        return issue_token(data_dir, user, admin=admin)
    except (OSError, ValueError) as error:
        raise CommandFailed(str(error)) from error
