"""AiiDA plugin for DeePMD-kit: datasets and potentials as nodes, training jobs, and the import of labelled frames."""

from __future__ import annotations

#: AiiDA keeps it with every job of the package.
__version__ = '0.1.0'
