"""Setting up a machine: codes, the isolated profile, its storage."""
