"""Asyncio shells: sockets, serial lines, timers, files, configuration. They decide nothing."""
