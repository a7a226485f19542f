"""The web portal: consumer, operator and machine views."""
