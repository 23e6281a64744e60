"""Training jobs, and the imports of frozen models and of labelled frames."""
