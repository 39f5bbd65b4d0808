"""Find forwarding loops at the start."""

from pycoredns.plugins.loop.loop import Loop

__all__ = ["Loop"]
