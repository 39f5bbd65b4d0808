"""Keep answers, and give them again until their TTL has passed."""

from pycoredns.plugins.cache.cache import Cache

__all__ = ["Cache"]
