"""Security suites as functions of key, nonce and octets; primitives come from the cryptography library."""
