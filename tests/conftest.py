"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# A busy machine is no defect of the code.
settings.register_profile(
    "lmmath", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lmmath")
