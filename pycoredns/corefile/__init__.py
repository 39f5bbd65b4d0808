"""The Corefile: its syntax, its imports, and the options that plugins declare."""
