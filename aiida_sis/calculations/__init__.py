"""Calculation jobs of DeePMD-kit and LAMMPS, and the calcfunctions between them."""
