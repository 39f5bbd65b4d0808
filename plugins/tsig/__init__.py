"""Verify requests that are signed with a shared secret, and sign their answers."""

from pycoredns.plugins.tsig.tsig import Tsig

__all__ = ["Tsig"]
