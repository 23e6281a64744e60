"""Labelled frames from files of other programs: DeePMD-kit's and CP2K's read here, the others by dpdata and ASE."""

from aiida_deepmd.read_frames.reading import digests, guess_format, read_systems
from aiida_deepmd.read_frames.system import Hints, ReadError, System, check_type_map

__all__ = ('Hints', 'ReadError', 'System', 'check_type_map', 'digests', 'guess_format', 'read_systems')
