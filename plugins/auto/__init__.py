"""Serve all zones whose master files lie in a folder."""

from pycoredns.plugins.auto.plugin import Auto

__all__ = ["Auto"]
