"""A pytest plugin that has large files of libraries read once for a run, and not for each client.

A process that forks others calls `read_once` itself.

What botocore knows of AWS's endpoints is 1.5 MB of JSON, which every session of boto3 reads, and
each use of moto begins a session. Each looks into the folders of all services that there are, too,
and for the names of a thousand events. The certificates that are trusted on a machine are read for
each HTTP client, also for one that speaks to loopback only. Nobody changes any of it.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any

import httpcore2
import pytest
from botocore.hooks import EventAliaser
from botocore.loaders import JSONFileLoader, Loader

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def pytest_configure(config: pytest.Config) -> None:
    """Keep what is read until the run is over."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    read_once(patch)


def read_once(patch: pytest.MonkeyPatch) -> None:
    """Keep what is read until the patch is undone."""
    read = cache(JSONFileLoader().load_file)
    patch.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
    patch.setattr(Loader, "list_available_services", _listed(Loader.list_available_services))
    patch.setattr(EventAliaser, "__init__", _remembering(EventAliaser.__init__))
    for module, name in ((ssl, "create_default_context"), (httpcore2, "default_ssl_context")):
        patch.setattr(module, name, _kept(getattr(module, name)))


def _listed(look: Callable[[Loader, str], list[str]]) -> Callable[[Loader, str], list[str]]:
    """Return what looks once for the services in the same folders."""
    found: dict[tuple[str, ...], list[str]] = {}

    def listed(loader: Loader, type_name: str) -> list[str]:
        place = (*loader.search_paths, type_name)
        if place not in found:
            found[place] = look(loader, type_name)
        return found[place]

    return listed


def _remembering(begin: Callable[..., None]) -> Callable[..., None]:
    """Return what has all sessions remember together which event is called what."""
    names: dict[str, str] = {}

    def remembering(aliaser: Any, *arguments: Any) -> None:
        begin(aliaser, *arguments)
        aliaser._alias_name_cache = names

    return remembering


def _kept(make: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    """Return what makes one context for the same arguments and the same variables."""

    @cache
    def made(_: tuple[str | None, ...], *arguments: Any, **named: Any) -> ssl.SSLContext:
        return make(*arguments, **named)

    def kept(*arguments: Any, **named: Any) -> ssl.SSLContext:
        return made(tuple(map(os.environ.get, _CERTIFICATES)), *arguments, **named)

    return kept
