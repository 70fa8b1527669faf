"""Starting a function without what it does not need, and without looking for garbage meanwhile.

Python looks through what there is again and again while modules are imported, and finds next to
nothing: all of it stays for as long as the process does. That took a tenth to a fifth of what
starting takes the processor, and a full collection during the first turns looks through all of it
once more.
"""

from __future__ import annotations

import gc

from parley import lean_imports


def begin() -> None:
    """Look for no garbage from now on, and import leanly (`parley.lean_imports`).

    For a function to say before it imports anything else.
    """
    gc.disable()
    lean_imports.install()


def done() -> None:
    """Look for garbage again, but in nothing of what there is: it stays for as long as the process.

    For a function to say when all is there that its first invocation needs.
    """
    gc.freeze()
    gc.enable()
