"""What all tests share: how many random cases Hypothesis tries.

No deadlines: a slow machine is no bug. ``make soak`` chooses the profile ``soak`` through HYPOTHESIS_PROFILE.
"""

import os

from hypothesis import settings

settings.register_profile("usual", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))
