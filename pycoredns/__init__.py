"""A DNS server that runs CoreDNS Corefiles, with plugins that are installed by pip."""

__version__ = "0.1.0"

COREDNS_VERSION = "1.14.7"
"""The CoreDNS release whose behaviour this version follows."""
