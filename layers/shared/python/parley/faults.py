"""What a log may say of an exception: where it came from, and not what people said.

Messages of exceptions quote what they are about: parameters, answers, people. Where the log is read
by whoever develops the agents, on their own terminal, the whole traceback is in it too.
"""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aws_lambda_powertools import __file__ as _a_library

from parley.errors import StandInFault
from parley.log_format import for_people

_PARLEY = Path(__file__).parent
_AGENTS = _PARLEY / "agents"
"""The one folder of Parley's where agents are written too."""
_OURS_AMONG_THEM = frozenset({"offline.py", "own_rules.py", "provider.py", "registry.py"})
_CLIENTS = frozenset({"openai", "httpx", "httpx2", "httpcore", "httpcore2"})
"""Libraries whose frames say nothing of why a request of theirs failed."""
_SAY_ALL = (SyntaxError, StandInFault)
"""Exceptions whose message names the place, which is in none of the frames."""

_REASON_CHARS = 1_000
_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|^DATABASE_URL$")
_SECRET_CHARS = 8
"""Shorter values are words that any text may have."""


def traced(error: BaseException | None, *, quoting: bool = False) -> dict[str, Any]:
    """Return what a log may say of an exception.

    Args:
        error: The exception; nothing is said of None.
        quoting: Whether its message may be said, where nobody can have said anything yet.

    Returns:
        `exception`, its type and those of its causes; `at`, the place in the code that was written
        for this deployment and not for any; `frames`, all places; what is known of some kinds, such
        as `missing_module`, or the `address` that does not answer; the `reason`, its
        message, if that may be said; and the `traceback` on a terminal.
    """
    if error is None:
        return {}
    causes = list(chain(error))
    facts: dict[str, Any] = {"exception": [_name(each) for each in causes]}
    places = [place for each in causes if (place := _place(each)) is not None]
    if places:
        facts["at"] = places[-1]  # the cause of all
    for each in causes:
        for name, value in _facts(each).items():
            facts.setdefault(name, value)
    if quoting:
        facts["reason"] = redacted(str(error))[:_REASON_CHARS]
    facts["frames"] = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    if for_people():
        facts["traceback"] = _for_people(error)
    return facts


def redacted(text: str) -> str:
    """Return a text without the secrets that this process has in its environment."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= _SECRET_CHARS:
            text = text.replace(value, f"<{name}>")
    return text


def chain(error: BaseException, *, hidden: bool = False) -> Iterator[BaseException]:
    """Yield an error and what led to it, newest first; each once, also where they go in a circle.

    Args:
        error: The error.
        hidden: Whether what was put out of sight by `raise … from None` is one of them.
    """
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        sees = hidden or not each.__suppress_context__
        each = each.__cause__ or (each.__context__ if sees else None)


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _place(error: BaseException) -> str | None:
    """Return the innermost place of an exception in code that is neither a library's nor ours."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_own(frame.filename):
            return f"{frame.filename}:{frame.lineno} {frame.name}"
    return None


@cache
def _is_own(file: str) -> bool:
    path = Path(file)
    if not path.is_absolute():  # such as <frozen importlib._bootstrap>
        return False
    if path.is_relative_to(_PARLEY):
        return path.is_relative_to(_AGENTS) and path.name not in _OURS_AMONG_THEM
    return not any(path.is_relative_to(folder) for folder in _libraries())


@cache
def _libraries() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*folders, Path(_a_library).parents[1])


def _facts(error: BaseException) -> dict[str, Any]:
    """Return what is known of some kinds of exceptions, from their attributes."""
    facts: dict[str, Any] = {}
    if isinstance(error, ImportError) and error.name:
        facts["missing_module"] = error.name
    if isinstance(error, NameError | AttributeError) and error.name:
        facts["missing_name"] = error.name
    if isinstance(error, OSError) and error.strerror:
        facts["system_error"] = error.strerror
    if address := _address(error):
        facts["address"] = address
    if isinstance(status := getattr(error, "status_code", None), int):
        facts["answered_status"] = status
    return facts


def _address(error: BaseException) -> str | None:
    """Return where a request of an HTTP client went, without what may be secret of it."""
    try:
        url = urlsplit(str(error.request.url))  # type: ignore[attr-defined]
        port = f":{url.port}" if url.port else ""
    except (AttributeError, RuntimeError, ValueError):  # it knows of no request
        return None
    return f"{url.scheme}://{url.hostname}{port}{url.path}" if url.hostname else None


def _for_people(error: BaseException) -> str:
    """Write a traceback from where it enters the code that was written for this deployment."""
    told: traceback.TracebackException | None
    told = whole = traceback.TracebackException.from_exception(error)
    for each in chain(error):
        if told is None:
            break
        own = [number for number, frame in enumerate(told.stack) if _is_own(frame.filename)]
        if own:
            del told.stack[: own[0]]
        elif isinstance(each, _SAY_ALL) or type(each).__module__.split(".")[0] in _CLIENTS:
            told.stack.clear()
        told = told.__cause__ or told.__context__
    return redacted("".join(whole.format())).rstrip()
