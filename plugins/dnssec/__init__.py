"""Sign answers on their way to those who ask for DNSSEC."""

from pycoredns.plugins.dnssec.dnssec import Dnssec

__all__ = ["Dnssec"]
