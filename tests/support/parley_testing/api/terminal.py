"""A program on a terminal: what it shows can be read, and keys can be pressed.

What is shown is what was drawn, and a thing may be drawn any number of times: of what is there
once, or is not there, a test asks the API or a command whose output is piped.
"""

from __future__ import annotations

import codecs
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import psutil

from parley_testing.waiting import HANG_SECONDS, wait_for
from parley_testing.warm.program import TAKE_TERMINAL

CTRL_C = "\x03"
CTRL_D = "\x04"


class Terminal:
    """Runs a program on a pseudo-terminal.

    Attributes:
        shown: All that it has written so far.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start it."""
        self.shown = ""
        self._read_until = 0
        # What is read at a time may end in the middle of a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._ours, theirs = os.openpty()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", TAKE_TERMINAL, *command],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=dict(environ),
                start_new_session=True,
            )
        finally:
            os.close(theirs)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    def say(self, line: str) -> None:
        """Type a line."""
        self.press(line + "\n")

    def press_until(self, key: str, text: str) -> None:
        """Press a key until this is shown, as people do.

        For keys that do nothing more when they are pressed again, as they may be though the first
        was heard.
        """
        for within in (1.0, 1.0, 2.0, 4.0):
            self.press(key)
            try:
                self.wait_for(text, within)
                return
            except AssertionError:
                continue
        self.press(key)
        self.wait_for(text)

    def interrupt(self) -> None:
        """Press Ctrl-C when the program waits; for a line, if it has just asked for one.

        Python does not hear a signal that comes between its last look for one and its reading.
        """
        program = psutil.Process(self._process.pid)
        wait_for(lambda: program.status() == psutil.STATUS_SLEEPING)
        self.press(CTRL_C)

    def wait_for(self, text: str, within: float = HANG_SECONDS) -> str:
        """Read until it shows this after what was waited for last; return what came with it.

        Raises:
            AssertionError: It does not; with all that it showed.
        """
        deadline = time.monotonic() + within
        while (found := self.shown.find(text, self._read_until)) < 0:
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"{text!r} is not in:\n{self.shown[self._read_until :]}")
        came = self.shown[self._read_until : found + len(text)]
        self._read_until = found + len(text)
        return came

    def ended(self, within: float = HANG_SECONDS) -> int:
        """Read until the program ends and return its exit status."""
        deadline = time.monotonic() + within
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(max(0.1, deadline - time.monotonic()))

    def close(self) -> None:
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, seconds))
        if not ready:
            return False
        try:
            read = os.read(self._ours, 65536)
        except OSError:  # Linux says so when nobody has the other end any more
            return False
        self.shown += self._decoder.decode(read)
        return read != b""
