"""Give whole zones, or what changed in them, to other name servers."""

from pycoredns.plugins.transfer.transfer import Transfer

__all__ = ["Transfer"]
