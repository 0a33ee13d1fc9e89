"""Settings of all tests."""

from hypothesis import settings

# A busy machine is no defect of the code.
settings.register_profile("lmmath", deadline=None)
settings.load_profile("lmmath")
