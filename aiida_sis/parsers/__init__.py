"""Parsers: file access, outputs and exit codes; the reading itself is in ``core``."""
