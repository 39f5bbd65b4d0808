"""DNS messages as bytes: pure functions, no input or output (RFC 1035, RFC 6891)."""
