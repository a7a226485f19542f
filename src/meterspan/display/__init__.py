"""The simple external consumer display of TR 50572, fed over H1."""
