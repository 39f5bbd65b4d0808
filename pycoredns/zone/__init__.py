"""Zones held in memory: read from master files or transfers, answered from in wire form (RFC 1034 §4.3.2)."""
