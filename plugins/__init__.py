"""The plugins of the distribution, a folder each."""
