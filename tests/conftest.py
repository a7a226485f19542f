"""What all tests share: Hypothesis without deadlines, because a busy machine is no failure.

A run of ``scripts/test`` tries the same examples each time, so that it fails for what was changed alone; with
``--deep`` Hypothesis looks for new ones (``--hypothesis-profile explore``).
"""

from hypothesis import settings

settings.register_profile("meterspan", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("meterspan")
