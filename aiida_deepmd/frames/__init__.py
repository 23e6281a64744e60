"""Labelled frames: arrays that belong together, the examination of each frame, and the split into subsets."""

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_deepmd.frames.examination import Examination, Limits, examine
from aiida_deepmd.frames.labelled import (
    Frames,
    FramesError,
    check_shapes,
    find_cells,
    find_finite,
)
from aiida_deepmd.frames.subsets import SUBSETS, TEST, TRAIN, VALIDATION, split, split_sizes, thin

__all__ = (
    'SUBSETS',
    'TEST',
    'TRAIN',
    'VALIDATION',
    'Examination',
    'FloatArray',
    'Frames',
    'FramesError',
    'IntArray',
    'Limits',
    'check_shapes',
    'examine',
    'find_cells',
    'find_finite',
    'split',
    'split_sizes',
    'thin',
)
