"""The agents of this deployment."""

from parley import lean_imports

# See `parley.runner`: whichever of the two is imported first.
lean_imports.install()
