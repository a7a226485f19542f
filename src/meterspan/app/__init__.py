"""Programs: their composition, threads and services; commands call them, and they print nothing."""
