"""Labelled frames of one composition as a node."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm
from numpy.typing import ArrayLike, NDArray

from aiida_deepmd.elements import check_elements
from aiida_deepmd.frames import SUBSETS, TEST, TRAIN, VALIDATION, Frames, check_shapes

if TYPE_CHECKING:
    import dpdata

#: Å³; below it a cell spans no volume, and no side of it is the right one.
MIN_VOLUME = 1.0e-6
UNITS = {'coords': 'Å', 'cells': 'Å', 'energies': 'eV', 'forces': 'eV/Å'}


class DatasetData(orm.ArrayData):
    """Frames of one composition with energies and forces, and which of them are held out.

    The split is an index array beside the frames, so a frame is stored once. Arrays: ``coords`` (n_frames, n_atoms, 3)
    Å, ``cells`` (n_frames, 3, 3) Å, ``energies`` (n_frames,) eV, ``forces`` (n_frames, n_atoms, 3) eV/Å,
    ``atom_types`` (n_atoms,) indices into the type map, ``split`` (n_frames,) 0 train, 1 validation, 2 test; and, where
    atoms were held in place, ``atom_weights`` (n_atoms,) 1 free, 0 fixed: the zero forces that a constrained MD prints
    for them are no physics, and must not be learnt.

    Every cell is right-handed. For a left-handed one (negative determinant) DeePMD-kit 3.2 (TensorFlow) gives the right
    energy and forces of the wrong sign, in training as in use; the lattice, positions and forces are the same whichever
    order its vectors have.
    """

    def __init__(
        self,
        coords: ArrayLike | None = None,
        cells: ArrayLike | None = None,
        energies: ArrayLike | None = None,
        forces: ArrayLike | None = None,
        atom_types: ArrayLike | None = None,
        type_map: Sequence[str] = (),
        split: ArrayLike | None = None,
        label: str = '',
        atom_weights: ArrayLike | None = None,
        **kwargs: Any,
    ) -> None:
        """Check that the arrays belong together, and store them.

        :param coords: (n_frames, n_atoms, 3), Å.
        :param cells: (n_frames, 3, 3), Å; of a left-handed one the first two vectors change places.
        :param energies: (n_frames,), eV.
        :param forces: (n_frames, n_atoms, 3), eV/Å.
        :param atom_types: (n_atoms,) indices into ``type_map``.
        :param type_map: element of each type, in the order of the potential.
        :param split: (n_frames,) 0 train, 1 validation, 2 test.
        :param label: what the frames are: the label of the node, and an attribute too, which nobody can change later.
        :param atom_weights: (n_atoms,) weight of each atom's force in the loss: 1 free, 0 fixed. None: all are free.
        :raises ValueError: if the arrays do not fit each other or the type map.
        """
        super().__init__(**kwargs)
        self.label = label
        given = (coords, cells, energies, forces, atom_types, split)
        if all(array is None for array in given):
            return
        frames = Frames(*(np.asarray(array, dtype=np.float64) for array in given[:4]))
        types = np.asarray(atom_types, dtype=np.int64)
        subset = np.asarray(split, dtype=np.int8)
        _check(frames, types, list(type_map), subset)
        frames = replace(frames, cells=right_handed(frames.cells))
        weights = _weights(atom_weights, len(types))
        for name in UNITS:
            self.set_array(name, getattr(frames, name))
        self.set_array('atom_types', types)
        self.set_array('split', subset)
        if weights is not None:
            self.set_array('atom_weights', weights)
        attributes: dict[str, Any] = {
            'type_map': list(type_map),
            'elements': sorted({type_map[t] for t in types}),
            'n_frames': len(frames),
            'n_atoms': len(types),
            **{f'n_{name}': int((subset == index).sum()) for name, index in SUBSETS.items()},
            'label': label,
            'units': UNITS,
            'n_fixed': 0 if weights is None else int((weights == 0).sum()),
            'sha256': _digest(frames, types, list(type_map), subset, weights),
        }
        self.base.attributes.set_many(attributes)

    @property
    def type_map(self) -> list[str]:
        """Element of each type, in the order of the potential."""
        return list(self.base.attributes.get('type_map'))

    @property
    def elements(self) -> list[str]:
        """The elements present, sorted."""
        return list(self.base.attributes.get('elements'))

    @property
    def symbols(self) -> list[str]:
        """Element of each atom, (n_atoms,)."""
        type_map = self.type_map
        return [type_map[t] for t in self.get_array('atom_types')]

    @property
    def n_frames(self) -> int:
        """Number of frames, all subsets together."""
        return int(self.base.attributes.get('n_frames'))

    @property
    def n_atoms(self) -> int:
        """Atoms of each frame."""
        return int(self.base.attributes.get('n_atoms'))

    @property
    def n_train(self) -> int:
        """Frames trained on."""
        return int(self.base.attributes.get('n_train'))

    @property
    def n_validation(self) -> int:
        """Frames watched during the training."""
        return int(self.base.attributes.get('n_validation'))

    @property
    def n_test(self) -> int:
        """Frames held out for the test."""
        return int(self.base.attributes.get('n_test'))

    @property
    def atom_weights(self) -> NDArray[np.float64]:
        """Weight of each atom's force in the loss, (n_atoms,): 1 free, 0 fixed."""
        if 'atom_weights' not in self.get_arraynames():
            return np.ones(self.n_atoms)
        return np.asarray(self.get_array('atom_weights'), dtype=np.float64)

    @property
    def fixed_atoms(self) -> list[int]:
        """Site numbers, from 0 and ascending, of the atoms that were held in place: their forces are not known."""
        return [int(site) for site in np.flatnonzero(self.atom_weights == 0)]

    @property
    def sha256(self) -> str:
        """Digest of all arrays and the type map."""
        return str(self.base.attributes.get('sha256'))

    def get_split(self, subset: str = 'all') -> NDArray[np.int64]:
        """Frame numbers of a subset, ascending.

        :param subset: ``train``, ``validation``, ``test`` or ``all``.
        :raises ValueError: for another name.
        """
        if subset == 'all':
            return np.arange(self.n_frames)
        if subset not in SUBSETS:
            raise ValueError(f"subset '{subset}' is unknown; use 'train', 'validation', 'test' or 'all'.")
        return np.flatnonzero(self.get_array('split') == SUBSETS[subset])

    def get_frames(self, subset: str = 'all') -> Frames:
        """The frames of a subset.

        :param subset: ``train``, ``validation``, ``test`` or ``all``.
        """
        frames = Frames(*(self.get_array(name) for name in UNITS)).take(self.get_split(subset))
        return replace(frames, cells=right_handed(frames.cells))  # earlier versions stored them as they came

    def to_dpdata(self, subset: str = 'all') -> dpdata.LabeledSystem:
        """The frames of a subset as dpdata's labelled system.

        :param subset: ``train``, ``validation``, ``test`` or ``all``.
        """
        import dpdata

        frames = self.get_frames(subset)
        types = self.get_array('atom_types')
        data = {
            'atom_names': self.type_map,
            'atom_numbs': [int((types == t).sum()) for t in range(len(self.type_map))],
            'atom_types': types,
            'orig': np.zeros(3),
            **{name: getattr(frames, name) for name in UNITS},
        }
        return dpdata.LabeledSystem(data=data)

    def write_npy(self, folder: Path, subset: str = 'all', atom_pref: bool = False) -> Path:
        """Write a subset as one DeePMD system, in double precision: a total energy needs its last digits.

        :param folder: made if missing; gets ``type.raw``, ``type_map.raw`` and ``set.000``.
        :param subset: ``train``, ``validation``, ``test`` or ``all``.
        :param atom_pref: write the weights of the atoms too, ``set.000/atom_pref.npy`` (n_frames, n_atoms). A system
            without that file has no part in DeePMD-kit's atom-preference loss: its forces would not be learnt at all.
        :return: the folder.
        :raises ValueError: if the subset has no frame.
        """
        n_frames = len(self.get_split(subset))
        if n_frames == 0:
            raise ValueError(f"dataset '{self.label}' has no frame in its {subset} subset: nothing to write.")
        self.to_dpdata(subset).to('deepmd/npy', str(folder), set_size=n_frames, prec=np.float64)
        if atom_pref:
            np.save(Path(folder) / 'set.000' / 'atom_pref.npy', np.tile(self.atom_weights, (n_frames, 1)))
        return folder


def right_handed(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same lattices, each with its first two vectors in the order that makes the determinant positive.

    :param cells: (n_frames, 3, 3), Å.
    """
    left = np.linalg.det(cells) < 0
    return np.where(left[:, None, None], cells[:, [1, 0, 2]], cells)


def atom_types(symbols: list[str], type_map: list[str]) -> list[int]:
    """Index of each atom's element in the type map.

    :param symbols: element of each atom.
    :param type_map: element of each type.
    :raises ValueError: if an element is not in the type map.
    """
    foreign = sorted(set(symbols) - set(type_map))
    if foreign:
        raise ValueError(f'elements {foreign} are not in the type_map {type_map}: add them to it.')
    return [type_map.index(symbol) for symbol in symbols]


def _check(frames: Frames, types: NDArray[np.int64], type_map: list[str], subset: NDArray[np.int8]) -> None:
    """Raise a ValueError that names the first array that does not fit."""
    check_shapes(frames)
    check_elements(type_map)
    n_frames, n_atoms = frames.coords.shape[:2]
    for name in UNITS:
        if len(getattr(frames, name)) != n_frames:
            raise ValueError(f'{name} has {len(getattr(frames, name))} frames but coords has {n_frames}.')
    if types.shape != (n_atoms,):
        raise ValueError(f'atom_types has shape {types.shape} but there are {n_atoms} atoms: give one type an atom.')
    if len(set(type_map)) != len(type_map) or types.min() < 0 or types.max() >= len(type_map):
        raise ValueError(f'atom_types {set(types.tolist())} do not index a type_map of unique names, {type_map}.')
    flat = np.flatnonzero(np.abs(np.linalg.det(frames.cells)) < MIN_VOLUME)
    if len(flat):
        raise ValueError(f'the cell of frame {flat[0]} has no volume: give three vectors that span one, in Å.')
    if subset.shape != (n_frames,) or not np.isin(subset, [TRAIN, VALIDATION, TEST]).all():
        raise ValueError(f'split must give 0, 1 or 2 for each of the {n_frames} frames; its shape is {subset.shape}.')


def _weights(given: ArrayLike | None, n_atoms: int) -> NDArray[np.float64] | None:
    """The weights to store, None where they say nothing (every atom counts once)."""
    if given is None:
        return None
    weights = np.asarray(given, dtype=np.float64)
    if weights.shape != (n_atoms,) or not np.isin(weights, [0.0, 1.0]).all():
        raise ValueError(f'atom_weights {weights.tolist()} must be 1 (free) or 0 (fixed) for each of {n_atoms} atoms.')
    if not weights.any():
        raise ValueError(
            f'atom_weights is 0 for all {n_atoms} atoms: where every atom is fixed there is no force to learn.'
        )
    return None if weights.all() else weights


def _digest(
    frames: Frames,
    types: NDArray[np.int64],
    type_map: list[str],
    subset: NDArray[np.int8],
    weights: NDArray[np.float64] | None,
) -> str:
    """SHA-256 of the content, independent of the label."""
    digest = hashlib.sha256(' '.join(type_map).encode())
    arrays = [*(getattr(frames, name) for name in UNITS), types, subset]
    for array in arrays if weights is None else [*arrays, weights]:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
