"""Labelled frames in the formats that only dpdata reads."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from aiida_deepmd.arrays import BoolArray
from aiida_deepmd.frames import Frames
from aiida_deepmd.read_frames.system import Hints, ReadError, System, as_elements

_NEEDED = {'coords': 'coordinates', 'cells': 'cells', 'energies': 'energies', 'forces': 'forces'}


def read_dpdata(path: Path, fmt: str, hints: Hints) -> System:
    """Read the one system of a path through dpdata, as its format has it and not turned into another frame of axes.

    dpdata leaves out the steps whose SCF did not converge, where the format shows it; they are asked for too, so that
    they can be counted.

    :param path: the file or folder.
    :param fmt: dpdata's name of the format.
    :param hints: elements, where the file does not name them.
    :raises ReadError: if it can't be read, or holds no energies or forces.
    """
    if path.suffix in ('.gz', '.bz2', '.xz'):
        raise ReadError(f"'{path}' is compressed, and dpdata reads {fmt} as it is only: unpack it first.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        data, unconverged = _load(path, fmt)
    notes = [str(one.message).rstrip('.') + '.' for one in caught if 'unconverged' not in str(one.message)]
    missing = [words for key, words in _NEEDED.items() if key not in data or len(data[key]) == 0]
    if missing:
        raise ReadError(f"'{path}' has no {', '.join(missing)}: only labelled frames can be trained on.")
    if data.get('nopbc', False):
        raise ReadError(f"'{path}' is not periodic, but MD and labels are: put the frames into a cell.")
    if 'virials' in data:
        notes.append('Virials are not read: potentials are trained on energies and forces.')
    coords, cells, energies, forces = (np.asarray(data[key], dtype=np.float64) for key in _NEEDED)
    names = [str(data['atom_names'][number]) for number in data['atom_types']]
    elements, told = as_elements(names, hints, str(path))
    frames = Frames(coords - np.asarray(data.get('orig', np.zeros(3))), cells, energies.ravel(), forces)
    files = tuple(sorted(p for p in path.rglob('*') if p.is_file())) if path.is_dir() else (path,)
    flaws = {'unconverged': tuple(int(i) for i in np.flatnonzero(unconverged))} if unconverged.any() else {}
    return System('', frames, [elements[name] for name in names], files, flaws, (*told, *dict.fromkeys(notes)))


def _load(path: Path, fmt: str) -> tuple[dict[str, Any], BoolArray]:
    """Data of dpdata and which of its frames did not converge."""
    from dpdata.system import load_format

    try:
        read = load_format(fmt).from_labeled_system
    except NotImplementedError as error:
        hint = 'e.g. deepmd/npy, vasp/outcar (dpdata) or extxyz, traj (ASE)'
        raise ReadError(f"format '{fmt}' is known neither to dpdata nor to ASE; use {hint}.") from error
    checks = 'convergence_check' in inspect.signature(read).parameters
    try:
        good = _joined(read(str(path)))
        data = _joined(read(str(path), convergence_check=False)) if checks else good
    except Exception as error:  # each format raises its own
        reason = str(error) or 'it gives no reason; is the file whole, and of that format?'
        raise ReadError(f"dpdata can't read '{path}' as {fmt}: {type(error).__name__}: {reason}") from error
    converged = np.zeros(len(data.get('energies', ())), dtype=bool)
    at = 0
    for energy in np.ravel(good.get('energies', ())):  # the good ones are among all of them, in the same order
        at = int(np.flatnonzero(np.ravel(data['energies'])[at:] == energy)[0]) + at
        converged[at] = True
        at += 1
    return data, ~converged


def _joined(data: Any) -> dict[str, Any]:
    """One dictionary of a format that gives several systems."""
    if isinstance(data, (list, tuple)):
        import dpdata

        whole = dpdata.LabeledSystem(data=data[0])
        for one in data[1:]:
            whole.append(dpdata.LabeledSystem(data=one))
        return dict(whole.data)
    return dict(data)
