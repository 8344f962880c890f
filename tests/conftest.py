"""Settings of all tests."""

from hypothesis import settings

# A busy machine is no failure: nothing here is judged by the time it takes.
settings.register_profile("frazil", deadline=None)
settings.load_profile("frazil")
