"""Relay questions to other name servers."""

from pycoredns.plugins.forward.plugin import Forward

__all__ = ["Forward"]
