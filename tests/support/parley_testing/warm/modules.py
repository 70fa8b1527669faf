"""Modules that are imported already, and that nobody sees until he imports them."""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from types import FrameType, ModuleType
from typing import Any


class Imported:
    """What a process has imported, hidden again.

    Attributes:
        read: What of the environment was read meanwhile, and what it was.
    """

    def __init__(self) -> None:
        self.read: dict[str, str | None] = {}
        self._modules: dict[str, ModuleType] = {}
        self._imports: dict[str, set[str]] = {}
        self._bound: set[str] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep what is imported in the block, by whom, and which variables that reads."""
        before = set(sys.modules)
        with _watched_imports(self._imports), _watched_environment(self.read):
            yield
        self._modules = {
            name: module
            for name, module in sys.modules.items()
            if name not in before and name.partition(".")[0] not in sys.stdlib_module_names
        }

    def hide(self) -> None:
        """Have all of it be imported once more, which takes no time."""
        for name, module in self._modules.items():
            del sys.modules[name]
            package, _, last = name.rpartition(".")
            # `from package import module` imports only what the package has not yet.
            if package in self._modules and vars(self._modules[package]).get(last) is module:
                delattr(self._modules[package], last)
                self._bound.add(name)
        sys.meta_path.insert(0, _Finder(self))

    def shadowed(self, folders: Collection[str]) -> str | None:
        """Return a module that is another's in one of these folders, if there is one."""
        names = {name for name in self._modules if "." not in name}
        for folder in folders:
            for name in names.intersection(_importable(folder)):
                file = getattr(self._modules[name], "__file__", None) or ""
                places = [file, *getattr(self._modules[name], "__path__", ())]
                if not any(place.startswith(os.path.join(folder, name)) for place in places):
                    return name
        return None

    def get(self, name: str) -> ModuleType | None:
        """Return a module that was hidden."""
        return self._modules.get(name)

    def show(self, name: str) -> None:
        """Let a module be seen again, and all that it imported."""
        left, looked_at = [name], set[str]()
        while left:
            each = left.pop()
            if not each or each in looked_at:
                continue
            looked_at.add(each)
            package, _, last = each.rpartition(".")
            module = self._modules.get(each)
            left.append(package)
            if module is not None:
                if sys.modules.setdefault(each, module) is not module:
                    continue  # another's, which imports for itself
                if each in self._bound:
                    setattr(self._modules[package], last, module)
            # One that could not be imported leaves what it had imported until then.
            left += self._imports.pop(each, ())


def _importable(folder: str) -> set[str]:
    try:
        found = os.listdir(folder or ".")
    except OSError:
        return set()
    return {name.partition(".")[0] for name in found}


class _Finder(MetaPathFinder):
    """Finds what is hidden, before all others."""

    def __init__(self, imported: Imported) -> None:
        self._imported = imported

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec that takes the module as it is."""
        module = self._imported.get(fullname)
        own = getattr(module, "__spec__", None)
        if module is None or own is None:
            return None
        found = ModuleSpec(fullname, _Loader(self._imported, module, own), origin=own.origin)
        found.submodule_search_locations = own.submodule_search_locations
        found.cached, found.has_location = own.cached, own.has_location
        return found


class _Loader(Loader):
    """Has nothing left to do."""

    def __init__(self, imported: Imported, module: ModuleType, spec: ModuleSpec) -> None:
        self._imported, self._module, self._spec = imported, module, spec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spec.loader, name)  # as its code, for who runs it

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
        self._imported.show(self._spec.name)


@contextmanager
def _watched_imports(imports: dict[str, set[str]]) -> Iterator[None]:
    bootstrap: Any = importlib._bootstrap
    given, by_name = builtins.__import__, bootstrap._gcd_import

    def note(name: str) -> None:
        """Keep what the module that is being executed has imported, itself or by a function."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code.co_name != "<module>":
            frame = frame.f_back
        if frame is not None:
            imports.setdefault(frame.f_globals["__name__"], set()).add(name)

    def watched(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        whole = name
        if level:
            named = globals or {}
            package = named.get("__package__") or str(named.get("__name__")).rpartition(".")[0]
            whole = resolve_name("." * level + name, package)
        note(whole)
        found = given(name, globals, locals, fromlist or (), level)
        for each in fromlist or ():
            if f"{whole}.{each}" in sys.modules:
                note(f"{whole}.{each}")
        return found

    # What `importlib.import_module` calls: that itself is in the names of who imports it.
    def watched_by_name(name: str, package: str | None = None, level: int = 0) -> ModuleType:
        found: ModuleType = by_name(name, package, level)
        note(found.__name__)
        return found

    builtins.__import__, bootstrap._gcd_import = watched, watched_by_name
    try:
        yield
    finally:
        builtins.__import__, bootstrap._gcd_import = given, by_name


@contextmanager
def _watched_environment(read: dict[str, str | None]) -> Iterator[None]:
    given: Callable[[Any, str], str] = os._Environ.__getitem__

    def watched(environ: Any, name: str) -> str:
        value = None
        try:
            value = given(environ, name)
        finally:
            read[name] = value
        return value

    vars_ = type(os.environ)
    vars_.__getitem__ = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        vars_.__getitem__ = given  # type: ignore[method-assign]
