"""The protected metrological block (TR 50572, 5.2; MID Annex I, 7.6 and 8.1): measures, and cannot be written."""
