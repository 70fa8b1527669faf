"""Importing what a project names: where it is not there, or raises, in a sentence."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from parley.errors import ParleyError

RAISED = (Exception, SystemExit, KeyboardInterrupt)
"""What a project's code may raise: importing it must end no process either."""


class Unusable(ParleyError):
    """What is named cannot be used; the message says why."""


def find(target: str) -> Any:
    """Return what a target names.

    Args:
        target: As `package.module:object`.

    Raises:
        Unusable: There is no such module, or nothing of that name in it.
        BaseException: Whatever importing the module raises.
    """
    module, _, path = target.partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise Unusable(f"there is no module {error.name}") from None
    where = module
    for name in path.split("."):
        if not hasattr(found, name):
            near = get_close_matches(name, [each for each in dir(found) if each[0] != "_"], 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise Unusable(f"{where} has no {name}{meant}")
        found, where = getattr(found, name), f"{where}.{name}"
    return found


def why(error: BaseException) -> tuple[str, str]:
    """Return where the project's code raised and what, and the traceback if that says more."""
    from parley.faults import traced

    if isinstance(error, Unusable):
        return str(error), ""
    below = error.__traceback__
    while below is not None and _is_ours(below.tb_frame.f_code.co_filename):
        below = below.tb_next  # of these, nobody has to know
    facts = traced(error.with_traceback(below), quoting=True)
    at = [str(facts["at"])] if "at" in facts else []
    # What Python adds to it is the place, which is said already.
    reason = error.msg if isinstance(error, SyntaxError) else str(facts["reason"])
    said = reason.splitlines()[:1]
    sentence = ": ".join([*at, type(error).__name__, *filter(None, said)])
    if isinstance(error, SystemExit):
        sentence += "; it must not end the process"
    return sentence, str(facts.get("traceback", ""))


def _is_ours(file: str) -> bool:
    """Return whether it is a module of what looks at projects, by which each traceback begins."""
    return Path(file).parent.name in ("parley_cli", "parley_project")
