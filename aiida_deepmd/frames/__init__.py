"""Labelled frames as plain arrays: what they hold, which of them may teach, how they are split."""
