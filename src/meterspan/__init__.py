"""meterspan: an open smart metering system, from a meter's sealed register to the consumer's display."""

__all__ = ["__version__"]

__version__ = "0.1.0"
