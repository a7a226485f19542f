"""The local network access point of TR 50572."""
