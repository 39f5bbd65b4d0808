"""Answer from a file like /etc/hosts, and from such lines in the Corefile."""

from pycoredns.plugins.hosts.hosts import Hosts

__all__ = ["Hosts"]
