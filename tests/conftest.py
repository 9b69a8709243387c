"""For all tests: time limits are pytest-timeout's, so that a busy machine fails no property."""

from hypothesis import settings

settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")
