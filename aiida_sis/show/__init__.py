"""Showing a run: in the terminal, as figures, as a page."""
