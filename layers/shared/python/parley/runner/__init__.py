"""Running agents in a turn. Whatever stands here may import the Agents SDK."""

from parley import lean_imports

# Before anything here, or in `parley.agents`, imports the SDK.
lean_imports.install()
