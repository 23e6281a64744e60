"""The science as plain Python, without AiiDA: series, selections, units, input text and output readers."""
