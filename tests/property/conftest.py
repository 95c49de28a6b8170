"""Profiles by HYPOTHESIS_PROFILE: `normal` for every run, `deep` for a night, `hunt` to find without shrinking."""

import os

from hypothesis import HealthCheck, Phase, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "normal",
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=_SLOW,
    derandomize=True,
)
settings.register_profile(
    "deep", max_examples=1500, stateful_step_count=60, deadline=None, suppress_health_check=_SLOW
)
settings.register_profile(
    "hunt",
    max_examples=400,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=_SLOW,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    database=None,
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "normal"))
