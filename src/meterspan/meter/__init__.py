"""The metering end device of TR 50572: metrology that nothing can write, and the functions around it."""
