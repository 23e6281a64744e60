"""What a run did, read from its provenance graph: record, tables and figures."""
