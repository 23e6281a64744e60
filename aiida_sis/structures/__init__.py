"""Builders of the atomic structures that the examples and the demonstration start from."""
