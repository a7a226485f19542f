"""What all tests share: Hypothesis without deadlines, because a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("meterspan", deadline=None)
settings.load_profile("meterspan")
