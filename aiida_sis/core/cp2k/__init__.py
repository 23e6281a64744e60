"""Input and output of CP2K as plain Python."""
