"""Labelled frames as arrays: coordinates, cells, energies and forces that belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_deepmd.arrays import BoolArray, FloatArray, IntArray

#: A cell with less volume (Å³) is none: no atom fits into it.
LEAST_VOLUME = 1.0


class FramesError(ValueError):
    """The arrays offered are not one set of labelled frames, or the settings contradict each other."""


@dataclass(frozen=True)
class Frames:
    """Labelled frames of one composition.

    :param coords: (n_frames, n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param energies: (n_frames,), eV.
    :param forces: (n_frames, n_atoms, 3), eV/Å.
    """

    coords: FloatArray
    cells: FloatArray
    energies: FloatArray
    forces: FloatArray

    def take(self, indices: IntArray) -> Frames:
        """The frames at ``indices``, in that order.

        :param indices: (n,) frame numbers.
        """
        return Frames(self.coords[indices], self.cells[indices], self.energies[indices], self.forces[indices])

    def __len__(self) -> int:
        return min(len(self.coords), len(self.cells), len(self.energies), len(self.forces))


def check_shapes(frames: Frames) -> None:
    """Refuse arrays that cannot belong together whatever their length.

    :param frames: the candidate frames.
    :raises FramesError: if the atoms or the axes of two arrays differ.
    """
    n_atoms = frames.coords.shape[1] if frames.coords.ndim == 3 else 0
    expected = {
        'coords': (frames.coords, ('n_frames', n_atoms, 3)),
        'cells': (frames.cells, ('n_frames', 3, 3)),
        'energies': (frames.energies, ('n_frames',)),
        'forces': (frames.forces, ('n_frames', n_atoms, 3)),
    }
    for name, (array, shape) in expected.items():
        if n_atoms == 0 or array.ndim != len(shape) or array.shape[1:] != shape[1:]:
            wanted = '(n_frames, n_atoms, 3)' if name in ('coords', 'forces') else str(shape).replace("'", '')
            raise FramesError(
                f'{name} has shape {array.shape}, but {wanted} is needed for coords of shape {frames.coords.shape}.'
            )


def find_finite(frames: Frames) -> BoolArray:
    """Mark the frames without a NaN or an infinity in any array.

    :param frames: frames of equal number in all arrays.
    """
    finite: BoolArray = (
        np.isfinite(frames.coords).all(axis=(1, 2))
        & np.isfinite(frames.cells).all(axis=(1, 2))
        & np.isfinite(frames.energies)
        & np.isfinite(frames.forces).all(axis=(1, 2))
    )
    return finite


def find_cells(cells: FloatArray) -> BoolArray:
    """Mark the cells that have a volume, of either handedness; one that is not finite has none.

    :param cells: (n_frames, 3, 3), Å.
    """
    volumes: FloatArray = np.abs(np.linalg.det(np.where(np.isfinite(cells), cells, 0.0)))
    return np.asarray(volumes >= LEAST_VOLUME, dtype=np.bool_)
