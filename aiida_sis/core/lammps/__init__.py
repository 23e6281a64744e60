"""Script, log and dumps of LAMMPS as plain Python."""
