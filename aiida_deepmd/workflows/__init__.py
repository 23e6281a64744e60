"""Workchains around the training job."""
