"""The command ``aiida-sis``."""

from __future__ import annotations

from aiida_sis.cli.root import main

__all__ = ('main',)
