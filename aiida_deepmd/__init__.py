"""AiiDA plugin for DeePMD-kit: datasets and potentials as nodes, training jobs, and the import of labelled frames."""
