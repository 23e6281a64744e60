"""A frozen model tried before it is trusted: whether it loads, answers, and whether its forces are those of its energy.

A file that is no model, or half of one, would be found out only by a training or an MD in a queue. The trial runs in a
process of its own, since TensorFlow can take the process along that loads a damaged file, and since nothing that
somebody else pickled is to be loaded beside a database.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_deepmd.files.backend import TENSORFLOW, Backend
from aiida_deepmd.files.output import find_error

#: Distance of the atoms that the model is tried on, and how far they are off their lattice, Å.
_SPACING, _OFF_LATTICE = 2.2, 0.3
#: Types that are tried: a model of the whole periodic table would take minutes.
_MOST_TYPES = 12
#: Displacement of the finite differences, Å: in single precision a smaller one gives the noise of the energies.
_STEP = 1.0e-3
#: Difference of force and slope, eV/Å and as a share of the force, that is neither noise nor curvature.
_TOLERANCE, _RELATIVE_TOLERANCE = 0.01, 0.02
#: Seconds after which a trial is given up: ten are usual, most of them TensorFlow's start.
_PATIENCE = 600


@dataclass(frozen=True)
class ModelTrial:
    """What a model answered for two atoms of each of its types, of at most a dozen; one of several tasks in its first.

    :param type_map: element of each type; empty if the model does not say.
    :param n_types: number of its types.
    :param energy: eV.
    :param force: force on the atom with the largest one, eV/Å; (3,).
    :param slope: minus the slope of the energy along the coordinates of that atom, eV/Å; (3,).
    :param scale: largest factor but 1 that the model puts on its energies; 1 for one that was trained with TensorFlow,
        and not asked of one of PyTorch.
    :param model: block ``model`` of the training input, as a model of PyTorch has it; empty for others.
    :param compressed: whether a model of PyTorch is a compressed one.
    """

    type_map: list[str]
    n_types: int
    energy: float
    force: list[float]
    slope: list[float]
    scale: float
    model: dict[str, Any] = field(default_factory=dict)
    compressed: bool = False

    def find_fault(self) -> str | None:
        """Why the model must not be used, with the remedy; None if nothing is wrong with it."""
        force, slope = np.array(self.force), np.array(self.slope)
        if not np.isfinite([self.energy, *force, *slope]).all():
            return (
                'answers with energies or forces that are no numbers: its training diverged, or a conversion spoilt '
                'it. Take an earlier one, or train anew on its frames'
            )
        if self.scale != 1:
            return (
                f'was converted from another backend of DeePMD-kit and multiplies its energies by {self.scale:.4g}, '
                'which the model that it was made from does not: train anew on its frames'
            )
        if np.abs(force - slope).max() > _TOLERANCE + _RELATIVE_TOLERANCE * np.abs(force).max():
            return (
                f'has forces that are not the slope of its energy (on one atom {np.round(force, 3).tolist()}, by '
                f'differences of the energy {np.round(slope, 3).tolist()} eV/Å): train anew on its frames'
            )
        return None


def can_try(backend: Backend) -> bool:
    """Whether DeePMD-kit is installed beside AiiDA, with what the backend needs.

    :param backend: backend of the model.
    """
    return all(importlib.util.find_spec(name) is not None for name in ('deepmd', backend.library))


def try_model(path: Path) -> ModelTrial:
    """Load a model in a process of its own and evaluate it.

    :param path: the model, ``*.pb``, ``*.pth`` or ``*.pt``.
    :raises ValueError: if the model can't be loaded or evaluated, with the reason.
    """
    quiet = {'OMP_NUM_THREADS': '1', 'TF_CPP_MIN_LOG_LEVEL': '3', 'CUDA_VISIBLE_DEVICES': ''}
    quiet |= {'DP_INTRA_OP_PARALLELISM_THREADS': '1', 'DP_INTER_OP_PARALLELISM_THREADS': '1'}
    command = [sys.executable, '-m', __name__, str(path)]
    try:
        done = subprocess.run(
            command, env=os.environ | quiet, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f'no answer after {_PATIENCE} s') from error
    if done.returncode != 0:
        raise ValueError(find_error(done.stderr) or f'the process ended with code {done.returncode}')
    return ModelTrial(**json.loads(done.stdout.splitlines()[-1]))


def cluster(n_types: int, seed: int = 0) -> tuple[NDArray[np.float64], list[int]]:
    """Two atoms of each type, near a cubic lattice, without periodic images.

    :param n_types: number of types.
    :param seed: seed of the places.
    :return: coordinates (2 n_types, 3) in Å, type of each atom.
    """
    n_atoms, rng = 2 * n_types, np.random.default_rng(seed)
    side = int(np.ceil(n_atoms ** (1 / 3)))
    sites = np.array(list(itertools.product(range(side), repeat=3))[:n_atoms], dtype=np.float64)
    coords = _SPACING * sites + rng.uniform(-_OFF_LATTICE, _OFF_LATTICE, (n_atoms, 3))
    return coords, [int(kind) for kind in rng.permutation(np.repeat(np.arange(n_types), 2))]


def evaluate(path: Path) -> ModelTrial:
    """Load a model in this process and evaluate it.

    :param path: the model, ``*.pb``, ``*.pth`` or ``*.pt``.
    """
    from deepmd.infer import DeepPot

    of_tensorflow = path.suffix == TENSORFLOW.ending
    model = DeepPot(str(path)) if of_tensorflow else DeepPot(str(path), head=0)
    n_types = int(model.get_ntypes())
    coords, types = cluster(min(n_types, _MOST_TYPES))
    energy, forces = (np.asarray(array) for array in model.eval(coords.reshape(1, -1), None, types)[:2])
    atom = int(np.nan_to_num(np.abs(forces[0]).max(axis=1)).argmax())
    moved = np.repeat(coords[None], 6, axis=0)
    for axis in range(3):
        moved[2 * axis : 2 * axis + 2, atom, axis] += [_STEP, -_STEP]
    energies = np.asarray(model.eval(moved.reshape(6, -1), None, types)[0]).ravel()
    return ModelTrial(
        type_map=[str(element) for element in model.get_type_map()],
        n_types=n_types,
        energy=float(energy.ravel()[0]),
        force=forces[0, atom].tolist(),
        slope=((energies[1::2] - energies[::2]) / (2 * _STEP)).tolist(),
        scale=_scale(path) if of_tensorflow else 1.0,
        model={} if of_tensorflow else model.get_model_def_script(),
        compressed=path.suffix == '.pth' and _is_compressed(path),
    )


def _scale(path: Path) -> float:
    """The factor on the energies that only a converted model has; TensorFlow applies it, the other backends do not."""
    from deepmd.tf.env import tf

    graph = tf.GraphDef.FromString(path.read_bytes())
    nodes = [node for node in graph.node if node.name.endswith('/t_out_std') and node.op == 'Const']
    factors = np.concatenate([[1.0], *(tf.make_ndarray(node.attr['value'].tensor).ravel() for node in nodes)])
    return float(factors[np.abs(factors - 1).argmax()])


def _is_compressed(path: Path) -> bool:
    """Whether a frozen model of PyTorch has tables in place of its embedding nets."""
    import torch

    state = torch.jit.load(str(path), map_location='cpu').state_dict()
    return any(tensor.numel() for name, tensor in state.items() if 'compress_data' in name or 'type_embd_data' in name)


if __name__ == '__main__':
    print(json.dumps(asdict(evaluate(Path(sys.argv[1])))))
