"""Parsers of the training jobs."""
