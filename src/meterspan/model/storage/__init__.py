"""Data at rest as others see them: records, ports and the one error tree. Backends are in ``store`` and ``runtime``."""
