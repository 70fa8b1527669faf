"""Keeps a web server as long as the gateway lives, and no longer.

Started by the gateway as `python -m parley_local.web_keeper COMMAND FOLDER FD`, in a process group
of its own. The server knows nothing of the gateway and would outlive one that was killed; the
keeper sees the socket FD close, removes FOLDER, where the server's own socket is, and ends the
group.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading


def _end_with(gateway: socket.socket, folder: str) -> None:
    """Wait for the gateway's end, which sends nothing before, and end the group."""
    gateway.recv(1)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def main(command: str, folder: str, descriptor: str) -> int:
    """Run the command and return its exit status, as a shell words it."""
    gateway = socket.socket(fileno=int(descriptor))
    # Only this process may hold the socket open.
    gateway.set_inheritable(False)
    # It comes to the whole group; the server answers it, and the keeper tells how that ended.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server = subprocess.Popen([command], stdin=subprocess.DEVNULL)
    except OSError as error:
        print(f"{command} cannot be started: {error}", file=sys.stderr)
        return 126
    threading.Thread(target=_end_with, args=(gateway, folder), daemon=True).start()
    code = server.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
