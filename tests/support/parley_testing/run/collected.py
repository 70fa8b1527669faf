"""A pytest plugin that lets the garbage collector pass over what the whole run keeps.

Once all tests are collected, their modules, Pydantic's schemas and the SDK are half a million
objects. Each full collection would look through them again, in this process and, page by page, in
each that is forked from it. While they come, it would find next to nothing again and again.
"""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest


def pytest_configure() -> None:
    """Look for no garbage while conftests and tests are imported."""
    gc.disable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what is there once all is collected alone from now on, and look for garbage again."""
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
