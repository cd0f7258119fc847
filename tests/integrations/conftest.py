"""Properties are not timed: these tests run beside others on small machines."""

from hypothesis import settings

settings.register_profile("irkit", deadline=None)
settings.load_profile("irkit")
