"""The neighbourhood network access point of TR 50572; not built yet, see docs/standards.md."""
