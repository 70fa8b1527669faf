"""A pytest plugin that lets the garbage collector pass over what the whole run keeps.

Once all tests are collected, their modules, Pydantic's schemas and the SDK are half a million
objects. Each full collection would look through them again, in this process and, page by page, in
each that is forked from it.
"""

from __future__ import annotations

import gc

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave what is there now alone from now on."""
    gc.collect()
    gc.freeze()
