"""Stability-indicated sampling of training data for Deep Potentials, as an AiiDA workflow."""

from __future__ import annotations

__version__ = '0.1.0'
