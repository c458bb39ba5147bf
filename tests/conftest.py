"""What all tests share: how many random cases Hypothesis tries, and a compiled engine.

No deadlines: a slow machine is no bug. ``make soak`` chooses the profile ``soak`` through HYPOTHESIS_PROFILE.
"""

import os

import pytest
from hypothesis import settings

from matching.engine import Engine
from matching.order import Rules
from matching.replay_rehearsal import rehearse_files

settings.register_profile("usual", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))


def pytest_configure(config: pytest.Config) -> None:
    """What is compiled is compiled once, before the workers and the servers that tests start would each do so."""
    if not hasattr(config, "workerinput"):
        Engine(Rules(fee_ticks=(0, 0, 0)))
        rehearse_files()
