"""Virtual clock, channels, households, faults and districts: the same machines, no sockets."""
