"""Listening sockets: bytes in, bytes out."""
