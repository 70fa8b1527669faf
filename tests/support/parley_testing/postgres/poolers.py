"""Poolers that lend a connection for one transaction: PgBouncer, and a stand-in for everywhere."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

from parley_local.unprivileged import give, run_as

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

_TAKEN = {b"user", b"database", b"client_encoding", b"application_name"}


def _server_of(url: str) -> str:
    """Return where the server's socket is."""
    return f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"


def _with_host(url: str, host: str) -> str:
    return urlsplit(url)._replace(query=f"host={quote(host, safe='')}").geturl()


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """A real PgBouncer in transaction mode, as it is without further configuration.

    Yields:
        The URL of the same database through it.
    """
    directory = tempfile.mkdtemp(prefix="parley-bouncer-", dir="/tmp")
    user = f"user={urlsplit(url).username}"
    with _pgbouncer(Path(directory), url, user, "auth_type = any\ndefault_pool_size = 5\n"):
        yield _with_host(url, directory)


@contextmanager
def pooled_logins(url: str, logins: Sequence[str], suffix: str) -> Iterator[None]:
    """A real PgBouncer in transaction mode that keeps several logins and all databases apart.

    Args:
        url: Of one of the server's databases.
        logins: Who may come.
        suffix: What its socket's directory is called behind the server's.
    """
    directory = Path(str(Path(_server_of(url)).parent) + suffix)
    directory.mkdir(mode=0o700)
    (directory / "users").write_text("".join(f'"{login}" ""\n' for login in logins))
    # Databases are renamed and made by the hundred: what nobody uses is let go of at once.
    more = (
        f"auth_type = trust\nauth_file = {directory}/users\nserver_idle_timeout = 1\n"
        "autodb_idle_timeout = 1\nmax_client_conn = 1000\n"
    )
    with _pgbouncer(directory, url, "", more):
        yield


@contextmanager
def _pgbouncer(directory: Path, url: str, user: str, more: str) -> Iterator[None]:
    assert PGBOUNCER is not None
    config = directory / "pgbouncer.ini"
    config.write_text(
        "[databases]\n"
        f"* = host={Path(_server_of(url)).parent} port=5432 {user}\n"
        "[pgbouncer]\n"
        "pool_mode = transaction\n"
        f"unix_socket_dir = {directory}\n"
        "listen_port = 5432\n"
        f"logfile = {directory}/log\n"
        f"{more}"
    )
    give(directory)
    process = subprocess.Popen(
        [PGBOUNCER, "--quiet", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **run_as(),
    )
    try:
        while not _listens(directory / ".s.PGSQL.5432"):
            assert process.poll() is None, (directory / "log").read_text()
            time.sleep(0.01)
        yield
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


def _listens(path: Path) -> bool:
    """Return whether somebody answers at a socket, which is there a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def stand_in(url: str) -> Iterator[str]:
    """A pooler that refuses start-up options and gives each transaction the other of two servers.

    Yields:
        The URL of the same database through it.
    """
    directory = tempfile.mkdtemp(prefix="parley-pooler-", dir="/tmp")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{directory}/.s.PGSQL.5432")
    listener.listen()
    threads: list[threading.Thread] = []
    clients: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _ = listener.accept()
                clients.append(client)
                thread = threading.Thread(target=_serve, args=(client, _server_of(url)))
                threads.append(thread)
                thread.start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield _with_host(url, directory)
    finally:
        for each in (listener, *clients):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in (accepting, *threads):
            thread.join()
        shutil.rmtree(directory)


def _serve(client: socket.socket, path: str) -> None:
    servers: list[socket.socket] = []
    try:
        startup = _startup(client)
        names = startup[8:-2].split(b"\0")[::2]
        refused = [name for name in names if name not in _TAKEN]
        if refused:
            said = b"unsupported startup parameter: " + refused[0]
            fields = b"SFATAL\0C08P01\0M" + said + b"\0\0"
            client.sendall(b"E" + (len(fields) + 4).to_bytes(4) + fields)
            return
        for _ in range(2):
            server = socket.socket(socket.AF_UNIX)
            server.connect(path)
            servers.append(server)
            server.sendall(startup)
            greeting = _until_ready(server)
        client.sendall(greeting)
        while (first := _message(client)) and first[:1] != b"X":
            servers.reverse()
            _transact(client, servers[0], first)
    except OSError:
        return  # closed from the other side
    finally:
        for each in (client, *servers):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _transact(client: socket.socket, server: socket.socket, message: bytes) -> None:
    """Pass messages on, from the one that was read already, until the server is idle again."""
    while message:
        server.sendall(message)
        if message[:1] in (b"Q", b"S"):
            answer = _until_ready(server)
            client.sendall(answer)
            if answer[-1:] == b"I":
                return
        message = _message(client)


def _until_ready(server: socket.socket) -> bytes:
    """Return all that a server says until it is ready for the next; its state is the last byte."""
    said = b""
    while message := _message(server):
        said += message
        if message[:1] == b"Z":
            return said
    raise ConnectionError


def _startup(client: socket.socket) -> bytes:
    """Return the client's first message, having declined encryption."""
    while True:
        size = _exactly(client, 4)
        message = size + _exactly(client, int.from_bytes(size) - 4)
        if message[4:8] == (196_608).to_bytes(4):  # version 3.0 of the protocol
            return message
        client.sendall(b"N")


def _message(source: socket.socket) -> bytes:
    head = _exactly(source, 5)
    return head + _exactly(source, int.from_bytes(head[1:]) - 4) if head else b""


def _exactly(source: socket.socket, count: int) -> bytes:
    """Return so many bytes; none when the other side has closed."""
    read = b""
    while len(read) < count:
        piece = source.recv(count - len(read))
        if not piece:
            return b""
        read += piece
    return read
