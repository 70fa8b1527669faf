"""A pytest plugin by which Hypothesis measures no time: a busy machine falsifies nothing."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_NAME = "unhurried"

# While plugins are loaded: what a test's own settings leave out, they take when it is imported.
settings.register_profile(
    _NAME, parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(_NAME)
