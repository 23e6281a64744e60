"""A run for others: its archive, and the folder of a model with all that belongs to it."""
