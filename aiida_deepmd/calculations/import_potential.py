"""A potential from elsewhere: tried first, then stored with what it says about itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files import model_trial
from aiida_deepmd.files.backend import PYTORCH, TENSORFLOW, Backend, cutoff_of, neighbours_of
from aiida_deepmd.files.model_file import ModelFacts, find_damage, read_model

#: Backend of a file, and its name in the potential, by its ending.
_FILES = {
    '.pb': (TENSORFLOW, TENSORFLOW.model_file),
    '.pth': (PYTORCH, PYTORCH.model_file),
    '.pt': (PYTORCH, PYTORCH.training_file),
}
#: Endings of the models of DeePMD-kit's other backends.
_OTHER_BACKENDS = (
    *('.pt2', '.pte', '.dp', '.yaml', '.yml', '.hlo', '.jax', '.savedmodel', '.savedmodeltf'),
    *('.json', '.pd'),
)


def import_potential(path: str | Path, *, type_map: Sequence[str] | None = None, label: str = '') -> PotentialData:
    """Store a model of DeePMD-kit as a potential to start from, with what it says about itself.

    It is loaded and evaluated before (some ten seconds); where DeePMD-kit is not installed beside AiiDA, or not with
    the backend of the model, it is read to its end, and a warning says that it was not evaluated.

    :param path: the frozen model of TensorFlow (``*.pb``) or PyTorch (``*.pth``), or a checkpoint of PyTorch
        (``*.pt``), which can be trained further and fine-tuned, but not run by LAMMPS.
    :param type_map: element of each type; None: as the model has it.
    :param label: name of the potential.
    :return: the stored potential.
    :raises ValueError: if the file is no such model, does not answer with energies and their gradient, or its type map
        is another one.
    """
    path = Path(path).expanduser().resolve()
    backend, filename = _kind(path)
    content = path.read_bytes()
    facts = read_model(content) if backend is TENSORFLOW else ModelFacts([], {}, compressed=False)
    given = list(type_map or ())
    _check_order(path, given, facts.type_map)
    trial = _try(path, backend)
    branches: dict[str, Any] = {}
    if trial is not None and trial.model:
        branches = trial.model.get('model_dict', {})
        model = next(iter(branches.values()), trial.model)
        facts = ModelFacts(list(model.get('type_map', [])), model, trial.compressed)
    known = facts.type_map or (trial.type_map if trial is not None else [])
    _check_order(path, given, known)
    _check_number(path, known or given, trial)
    potential = PotentialData(
        files={filename: content},
        type_map=known or given,
        descriptor=str(facts.model.get('descriptor', {}).get('type', '')),
        rcut=cutoff_of(facts.descriptor) or 0.0,
        sel=neighbours_of(facts.descriptor),
        deepmd_backend=backend.name,
        compressed=facts.compressed,
        branches={name: model['type_map'] for name, model in branches.items()},
    )
    potential.label = label or path.name
    return potential.store()


def _kind(path: Path) -> tuple[Backend, str]:
    """By its name, the backend that the file is of, and what it is called in a potential."""
    if path.suffix in _OTHER_BACKENDS:
        raise ValueError(
            f"'{path}' is a model of another backend of DeePMD-kit; here its TensorFlow backend trains, which reads "
            '*.pb only, and its PyTorch backend, which reads *.pth and *.pt, and a converted model is another one: '
            'train anew on its frames.'
        )
    if path.suffix not in _FILES:
        raise ValueError(
            f"'{path}' is no frozen TensorFlow model (*.pb); of a checkpoint make one by `dp --tf freeze -o model.pb`, "
            'in the folder of its training. A checkpoint of PyTorch is named *.pt.'
        )
    return _FILES[path.suffix]


def _try(path: Path, backend: Backend) -> model_trial.ModelTrial | None:
    """What the model answers; None where that can't be asked."""
    if not model_trial.can_try(backend):
        damage = find_damage(path.read_bytes(), backend is TENSORFLOW)
        if damage is not None:
            raise _no_model(path, backend, damage)
        warnings.warn(
            f"'{path}' was read to its end and stored as it is: DeePMD-kit ({backend.label}) is not installed beside "
            'AiiDA, so neither was it loaded, nor were its forces compared with its energies.',
            stacklevel=3,
        )
        return None
    try:
        trial = model_trial.try_model(path)
    except ValueError as error:
        raise _no_model(path, backend, str(error)) from error
    fault = trial.find_fault()
    if fault is not None:
        raise ValueError(f"'{path}' {fault}.")
    return trial


def _no_model(path: Path, backend: Backend, reason: str) -> ValueError:
    return ValueError(
        f"'{path}' is no model that DeePMD-kit ({backend.label}) can evaluate ({reason}): compare its size with that "
        'of the original and copy it again, as a binary file.'
    )


def _check_order(path: Path, given: list[str], known: list[str]) -> None:
    """Raise a ValueError if the elements that were given are not those of the model, in its order."""
    if len(set(given)) != len(given):
        raise ValueError(
            f'The type_map {given} names an element twice: give each type once, in the order of the model.'
        )
    if known and given and given != known:
        raise ValueError(f"'{path}' has the type_map {known}, not {given}: leave type_map out.")


def _check_number(path: Path, elements: list[str], trial: model_trial.ModelTrial | None) -> None:
    """Raise a ValueError unless each type has its element."""
    if not elements:
        raise ValueError(f"'{path}' does not say which elements it has: give its type_map.")
    if trial is not None and len(elements) != trial.n_types:
        raise ValueError(
            f"'{path}' has {trial.n_types} types, but the type_map {elements} has {len(elements)}: give the elements "
            'that it was trained with, in their order.'
        )
