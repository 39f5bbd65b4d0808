"""Serve zones that other name servers hold, and keep them as they have them."""

from pycoredns.plugins.secondary.secondary import Secondary

__all__ = ["Secondary"]
