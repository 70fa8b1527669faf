"""Importing the SDK and Powertools without what nobody needs: the same objects, made when used.

A bare `import agents` (0.24.0) spends two fifths of its time on what a run never touches: the types
of the client's other APIs, a client and a server of the Model Context Protocol, and validators for
states that are restored. Nothing of it is left out. A package whose file does nothing but import
names from its own modules gives each name when it is asked for; a validator is built when it first
validates; and the exceptions of `mcp` come without its types, which they only name.

What is done differently is decided by each file's own text, so that a version in which it says
something else is imported as it stands. `make bench-init` says what this saves.

Two packages of Powertools import the events and the resolvers of all of AWS's services, of which we
have one each. And where what draws on terminals is installed, as beside a developer's tools, the
client of HTTP that the SDK imports imports it for its own program, which is no function's.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, TypeVar

_T = TypeVar("_T")

_SDK = "agents"
_OPENAI_TYPES = "openai.types"
_STREAM_HELPERS = "openai.lib._response_resources"
_STREAMS = "openai.lib.streaming.responses._responses"
_RESPONSES = "openai.resources.responses.responses"
_MCP = "mcp"
_MCP_EXCEPTIONS = "mcp.shared.exceptions"
_MCP_TYPES = "mcp.types"
_POWERTOOLS = "aws_lambda_powertools"
_HTTP_PROGRAM = "httpx._main"

_FUTURE = "from __future__ import annotations\n"
_OWN_IMPORT = r"^from {}(\.[\w.]+) import (?:\(([^()]*)\)|([\w ,]+))\n"
_DOCSTRING = re.compile(r'\A"""[^"\\]*"""\n')
_NOTHING_DONE = re.compile(r"#.*\n|__all__ = \[[^\[\]]*\]\n|\s+|" + re.escape(_FUTURE))
_NAMES_IMPORTED = re.compile(
    r"^(?:from [\w.]+ )?import (?:\([^()]*\)|[\w ,.]+)\n|^if TYPE_CHECKING:\n", re.MULTILINE
)
_DEFINED = re.compile(
    r"^(?:async )?def (\w+)\([^()]*(?:\([^()]*\)[^()]*)*\)[^\n]*:\n", re.MULTILINE
)
_INDENTED = re.compile(r"^[ \t]+.*\n", re.MULTILINE)
_IMPORTED_NAME = re.compile(r"(\w+)(?: as (\w+))?")


def install() -> None:
    """Import them so from now on. What is already imported stays as it is."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the modules that are imported differently, where Python itself finds them.

    It does not say that it is a `MetaPathFinder`: importing that takes longer than all it does.
    """

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
    names = imported_names(loader.get_source(package) or "", package)
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
    for name, (origin, _) in names.items():
        if origin == f".{name}":  # importing the module later would put it in the name's place
            found(name)


def imported_names(source: str, package: str = "") -> dict[str, tuple[str, str]] | None:
    """Return which name a package's file imports from where, if that is all it does.

    Args:
        source: The text of its `__init__.py`.
        package: Its name, by which it may name its modules too.

    Returns:
        By name, the module relative to the package and what it is called there; None if the file
        does anything else, or if a name is also that of another module, which Python sets by
        itself.
    """
    own = re.compile(_OWN_IMPORT.format(f"(?:{re.escape(package)})?"), re.MULTILINE)
    text = _DOCSTRING.sub("", source)
    if not text or _NOTHING_DONE.sub("", own.sub("", text)):
        return None
    names = {}
    modules = set()
    for origin, *lists in own.findall(text):
        modules.add(origin.split(".")[1])
        for each in filter(None, (part.strip() for part in "".join(lists).split(","))):
            parsed = _IMPORTED_NAME.fullmatch(each)
            if parsed is None:
                return None
            names[parsed[2] or parsed[1]] = (origin, parsed[1])
    clashing = modules.intersection(names)
    return names if all(names[name] == (f".{name}", name) for name in clashing) else None


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
    """Import a module without those types of another that annotations alone need.

    One of the exceptions of `mcp` makes such types, too: of what it is given, and that cannot be
    made without them having been imported.
    """
    only_named = _ONLY_NAMED[module.__name__]
    source = loader.get_source(module.__name__) or ""
    imported = only_named.imports.findall(source)
    names = [name.strip() for name in "".join(imported).split(",")]
    if (
        only_named.module in sys.modules
        or _FUTURE not in source
        or len(imported) != 1
        or not all(only_named.mentions(name, source) for name in names)
    ):
        _as_it_stands(loader, module)
        return
    placeholders = ModuleType(only_named.module)
    vars(placeholders).update(dict.fromkeys(names))
    sys.modules[only_named.module] = placeholders
    try:
        _as_it_stands(loader, module)
    finally:
        del sys.modules[only_named.module]
    _named_by[only_named.module] = module, names


_named_by: dict[str, tuple[ModuleType, list[str]]] = {}


def _known_to_who_names_them(loader: SourceFileLoader, module: ModuleType) -> None:
    """Import types, and let a module know those that it names."""
    _as_it_stands(loader, module)
    if module.__name__ in _named_by:
        naming, names = _named_by[module.__name__]
        vars(naming).update({name: getattr(module, name) for name in names})


class _OnlyNamed:
    """Types that a module imports and only names.

    Attributes:
        module: The module that has them.
        imports: Finds its names in the file that imports them.
    """

    def __init__(self, module: str, *, written: str, as_what: str | None = None) -> None:
        self.module = module
        self.imports = re.compile(rf"^from {re.escape(written)} import ([\w, ]+)\n", re.MULTILINE)
        self._as_what = as_what

    def mentions(self, name: str, source: str) -> bool:
        """Return whether a file mentions a name, but for its import, only where types stand.

        Where it does not matter as what, in what runs when it is called as well.
        """
        if self._as_what is None:
            return name not in evaluated_names(source)
        named = len(re.findall(self._as_what.format(name), source))
        return named == len(re.findall(rf"\b{name}\b", source)) - 1


def evaluated_names(source: str) -> set[str]:
    """Return which names a file looks up while it is imported, its annotations left as text.

    Args:
        source: The file's text.
    """
    import ast

    found: set[str] = set()
    left: list[ast.AST | None] = [ast.parse(source)]
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            left += [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
        elif isinstance(node, ast.Lambda):
            left += [*node.args.defaults, *node.args.kw_defaults]
        elif isinstance(node, ast.AnnAssign):
            left += [node.target, node.value]
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif node is not None:
            left += ast.iter_child_nodes(node)
    return found


_ONLY_NAMED = {
    _MCP_EXCEPTIONS: _OnlyNamed(_MCP_TYPES, written="mcp.types"),
    # To make them takes building all that a response may hold, for answers that are parsed while
    # they are streamed.
    _RESPONSES: _OnlyNamed(
        _STREAMS, written="...lib.streaming.responses._responses", as_what=r"-> {}\["
    ),
}


def _functions_on_demand(loader: SourceFileLoader, module: ModuleType) -> None:
    """Import a module that does nothing but define functions when one of them is first called.

    A module that imported a function before has one that calls it. What calls `async` functions
    awaits what it is given, and so they need not be told apart.
    """
    name = module.__name__
    defined = defined_functions(loader.get_source(name) or "")
    if defined is None:
        _as_it_stands(loader, module)
        return
    loading = threading.RLock()

    def load() -> None:
        with loading:
            if "__getattr__" in vars(module):
                _as_it_stands(loader, module)
                del module.__getattr__

    def calling(function: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            load()
            return vars(module)[function](*args, **named)

        call.__name__ = call.__qualname__ = function
        call.__module__ = name
        return call

    def found(asked: str) -> Any:
        if asked.startswith("__"):
            raise AttributeError(asked, name=asked, obj=module)
        load()
        return getattr(module, asked)

    vars(module).update({function: calling(function) for function in defined}, __getattr__=found)


def _program_when_run(loader: SourceFileLoader, module: ModuleType) -> None:
    """Import a module that is there for its program when that is run, by a function in its name.

    Where what the program needs is not installed, that is said when it is run.
    """

    def main(*args: Any, **named: Any) -> Any:
        _as_it_stands(loader, module)
        return module.main(*args, **named)

    if re.search(r"^def main\(", loader.get_source(module.__name__) or "", re.MULTILINE) is None:
        _as_it_stands(loader, module)
        return
    vars(module).update(main=main)


def defined_functions(source: str) -> list[str] | None:
    """Return which functions a module's file defines, if it defines and does nothing else.

    Args:
        source: The file's text.
    """
    rest = _INDENTED.sub("", _DEFINED.sub("", _NAMES_IMPORTED.sub("", source)))
    if not source or _NOTHING_DONE.sub("", rest):
        return None
    return [name for name in _DEFINED.findall(source) if not name.startswith("_")]


_WAYS: dict[str, Callable[[SourceFileLoader, ModuleType], None]] = {
    _SDK: _with_validators_later,
    _MCP: _names_on_demand,
    _STREAM_HELPERS: _functions_on_demand,
    _MCP_EXCEPTIONS: _without_its_types,
    _MCP_TYPES: _known_to_who_names_them,
    _RESPONSES: _without_its_types,
    _STREAMS: _known_to_who_names_them,
    _HTTP_PROGRAM: _program_when_run,
    f"{_POWERTOOLS}.event_handler": _names_on_demand,
    f"{_POWERTOOLS}.utilities.data_classes": _names_on_demand,
}
