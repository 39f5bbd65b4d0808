"""DNSSEC: keys, their files and times, signatures (RFC 4033 to 4035); used by the plugins that sign and by `pycoredns dnssec`."""
