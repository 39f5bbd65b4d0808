"""Serves zones from master files."""

from pycoredns.plugins.file.plugin import File

__all__ = ["File"]
