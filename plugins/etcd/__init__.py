"""Answer from SkyDNS records in etcd."""

from pycoredns.plugins.etcd.plugin import Etcd

__all__ = ["Etcd"]
