"""State machines without I/O, for both roles, all of one shape (see ``engine.machine``)."""
