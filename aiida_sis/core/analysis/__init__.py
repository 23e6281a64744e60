"""What a trajectory says: molecules, bonds, species, structure, transport.

Every function takes plain arrays, or an iterable of frames ``(positions, cell)`` that is read once and never held as a
whole, so a long trajectory costs the memory of one frame. All of it is done in one pass by
:func:`aiida_sis.core.analysis.analyse.analyse`.
"""
