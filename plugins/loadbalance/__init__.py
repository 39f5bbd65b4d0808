"""Put the addresses of an answer into another order each time."""

from pycoredns.plugins.loadbalance.loadbalance import Loadbalance

__all__ = ["Loadbalance"]
