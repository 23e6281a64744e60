"""The figures of a run and of a trajectory."""
