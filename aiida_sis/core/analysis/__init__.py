"""What a trajectory says: molecules, bonds, species, structure, transport.

Every function takes plain arrays, or an iterable of frames ``(positions, cell)`` that is read once and never held as a
whole, so a long trajectory costs the memory of one frame. :func:`aiida_sis.core.analysis.whole.analyse` does all of it
in one pass.
"""
