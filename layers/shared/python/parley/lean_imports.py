"""Importing the Agents SDK without what no run needs: the same objects, made when they are used.

A bare `import agents` (0.24.0) spends two fifths of its time on what a run never touches: the types
of the client's other APIs, a client and a server of the Model Context Protocol, and validators for
states that are restored. Nothing of it is left out. A package whose file does nothing but import
names from its own modules gives each name when it is asked for; a validator is built when it first
validates; and the exceptions of `mcp` come without its types, which they only name.

What is done differently is decided by each file's own text, so that a version in which it says
something else is imported as it stands. `make bench-init` says what this saves.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, TypeVar

_T = TypeVar("_T")

_SDK = "agents"
_OPENAI_TYPES = "openai.types"
_MCP = "mcp"
_MCP_EXCEPTIONS = "mcp.shared.exceptions"
_MCP_TYPES = "mcp.types"

_FUTURE = "from __future__ import annotations\n"
_OWN_IMPORT = re.compile(r"^from (\.[\w.]+) import (?:\(([^()]*)\)|([\w ,]+))\n", re.MULTILINE)
_NOTHING_DONE = re.compile(r"#.*\n|__all__ = \[[^\[\]]*\]\n|\s+|" + re.escape(_FUTURE))
_IMPORT_OF_MCP_TYPES = re.compile(r"^from mcp\.types import ([\w, ]+)\n", re.MULTILINE)
_IMPORTED_NAME = re.compile(r"(\w+)(?: as (\w+))?")


def install() -> None:
    """Import the SDK so from now on. What is already imported stays as it is."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the modules that are imported differently, where Python itself finds them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's spec if it is one of them."""
        of_openai = fullname == _OPENAI_TYPES or fullname.startswith(f"{_OPENAI_TYPES}.")
        execute = _names_on_demand if of_openai else _WAYS.get(fullname)
        if execute is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        if spec.submodule_search_locations is not None or not of_openai:
            vars(spec.loader)["exec_module"] = partial(execute, spec.loader)
        return spec


def _as_it_stands(loader: SourceFileLoader, module: ModuleType) -> None:
    SourceFileLoader.exec_module(loader, module)


def _names_on_demand(loader: SourceFileLoader, module: ModuleType) -> None:
    """Give a package's names when they are asked for, if all that it does is import them."""
    package = module.__name__
    names = imported_names(loader.get_source(package) or "")
    if names is None:
        _as_it_stands(loader, module)
        return

    def found(name: str) -> Any:
        if name in names:
            origin, its_name = names[name]
            value = getattr(import_module(origin, package), its_name)
        else:
            # As an attribute, a module of the package is there when the package is.
            try:
                value = import_module(f".{name}", package)
            except ModuleNotFoundError as error:
                if error.name != f"{package}.{name}":
                    raise
                said = f"module {package!r} has no attribute {name!r}"
                raise AttributeError(said, name=name, obj=module) from None
        setattr(module, name, value)
        return value

    vars(module).update(
        __getattr__=found,
        __dir__=lambda: sorted({*vars(module), *names}),
        __all__=list(names),
    )


def imported_names(source: str) -> dict[str, tuple[str, str]] | None:
    """Return which name a package's file imports from where, if that is all it does.

    Args:
        source: The text of its `__init__.py`.

    Returns:
        By name, the module relative to the package and what it is called there; None if the file
        does anything else, or if a name is also that of a module, which Python sets by itself.
    """
    if not source or _NOTHING_DONE.sub("", _OWN_IMPORT.sub("", source)):
        return None
    names = {}
    modules = set()
    for origin, *lists in _OWN_IMPORT.findall(source):
        modules.add(origin.split(".")[1])
        for each in filter(None, (part.strip() for part in "".join(lists).split(","))):
            parsed = _IMPORTED_NAME.fullmatch(each)
            if parsed is None:
                return None
            names[parsed[2] or parsed[1]] = (origin, parsed[1])
    return names if modules.isdisjoint(names) else None


def _with_validators_later(loader: SourceFileLoader, module: ModuleType) -> None:
    """Import the SDK; the validators that its modules make while they load are built when used."""
    with _validators_later():
        _as_it_stands(loader, module)


@contextmanager
def _validators_later() -> Iterator[None]:
    import pydantic
    from pydantic import type_adapter

    given = type_adapter.TypeAdapter
    loading = threading.get_ident()
    done = False

    class TypeAdapter(given[_T]):  # type: ignore[misc, valid-type]
        """Pydantic's own; one that was made while the SDK loaded is built when it is used."""

        def __init__(self, type: Any, **named: Any) -> None:
            if done or named or isinstance(type, str) or threading.get_ident() != loading:
                # One frame further away is whoever asked.
                depth = {"_parent_depth": named.pop("_parent_depth", 2) + 1}
                super().__init__(type, **named, **depth)
            else:
                self.__dict__["_built_when_used"] = type, sys._getframe(1).f_globals["__name__"]

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") or "_built_when_used" not in vars(self):
                raise AttributeError(name)
            type_, asked_by = vars(self)["_built_when_used"]
            # By itself first: another thread that uses it meanwhile finds all of it, or nothing.
            self.__dict__.update(vars(given(type_, module=asked_by)))
            return getattr(self, name)

    places: tuple[Any, ...] = (pydantic, type_adapter)
    pydantic.TypeAdapter  # noqa: B018 - pydantic, too, gives its names when they are asked for
    for place in places:
        place.TypeAdapter = TypeAdapter
    try:
        yield
    finally:
        done = True
        for place in places:
            place.TypeAdapter = given


def _without_its_types(loader: SourceFileLoader, module: ModuleType) -> None:
    """Import the exceptions of `mcp` without its types, if annotations are all that need them.

    One of the exceptions makes such types: of what it is given, and that cannot be made without
    them having been imported.
    """
    source = loader.get_source(module.__name__) or ""
    imported = _IMPORT_OF_MCP_TYPES.findall(source)
    if _MCP_TYPES in sys.modules or _FUTURE not in source or len(imported) != 1:
        _as_it_stands(loader, module)
        return
    names = [name.strip() for name in imported[0].split(",")]
    placeholders = ModuleType(_MCP_TYPES)
    vars(placeholders).update(dict.fromkeys(names))
    sys.modules[_MCP_TYPES] = placeholders
    try:
        _as_it_stands(loader, module)
    finally:
        del sys.modules[_MCP_TYPES]
    _named_by_exceptions[:] = names


_named_by_exceptions: list[str] = []


def _known_to_exceptions(loader: SourceFileLoader, module: ModuleType) -> None:
    """Import the types of `mcp`, and let its exceptions know those that they name."""
    _as_it_stands(loader, module)
    if _named_by_exceptions:
        known = {name: getattr(module, name) for name in _named_by_exceptions}
        vars(sys.modules[_MCP_EXCEPTIONS]).update(known)


_WAYS: dict[str, Callable[[SourceFileLoader, ModuleType], None]] = {
    _SDK: _with_validators_later,
    _MCP: _names_on_demand,
    _MCP_EXCEPTIONS: _without_its_types,
    _MCP_TYPES: _known_to_exceptions,
}
