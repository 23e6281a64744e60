"""A potential from elsewhere: tried first, then stored with what it says about itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files import model_trial
from aiida_deepmd.files.model_file import read_model

#: Endings of the models of DeePMD-kit's other backends.
_OTHER_BACKENDS = (
    *('.pth', '.pt', '.pt2', '.pte', '.dp', '.yaml', '.yml', '.hlo', '.jax', '.savedmodel', '.savedmodeltf'),
    *('.json', '.pd'),
)


def import_potential(path: str | Path, *, type_map: Sequence[str] | None = None, label: str = '') -> PotentialData:
    """Store a frozen model of DeePMD-kit (TensorFlow) as a potential to start from, with what it says about itself.

    It is loaded and evaluated before (some ten seconds); where DeePMD-kit is not installed beside AiiDA, a warning says
    that it was not.

    :param path: the frozen model, ``*.pb``.
    :param type_map: element of each type; None: as the model has it.
    :param label: name of the potential.
    :return: the stored potential.
    :raises ValueError: if the file is no such model, does not answer with energies and their gradient, or its type map
        is another one.
    """
    path = Path(path).expanduser().resolve()
    _check_name(path)
    content = path.read_bytes()
    facts = read_model(content)
    given = list(type_map or ())
    _check_order(path, given, facts.type_map)
    trial = _try(path)
    known = facts.type_map or (trial.type_map if trial is not None else [])
    _check_order(path, given, known)
    _check_number(path, known or given, trial)
    potential = PotentialData(
        files={'model.pb': content},
        type_map=known or given,
        descriptor=str(facts.model.get('descriptor', {}).get('type', '')),
        rcut=float(facts.descriptor.get('rcut', 0.0)),
        sel=facts.sel,
        compressed=facts.compressed,
    )
    potential.label = label or path.name
    return potential.store()


def _check_name(path: Path) -> None:
    """By its name, whether the file can be a frozen model of the TensorFlow backend."""
    if path.suffix in _OTHER_BACKENDS:
        raise ValueError(
            f"'{path}' is a model of another backend of DeePMD-kit; here its TensorFlow backend trains, which reads "
            '*.pb only, and a converted model is another one: train anew on its frames.'
        )
    if path.suffix != '.pb':
        raise ValueError(
            f"'{path}' is no frozen TensorFlow model (*.pb); of a checkpoint make one by `dp --tf freeze -o model.pb`, "
            'in the folder of its training.'
        )


def _try(path: Path) -> model_trial.ModelTrial | None:
    """What the model answers; None where that can't be asked."""
    if not model_trial.can_try():
        warnings.warn(
            f"'{path}' was stored as it is: DeePMD-kit is not installed beside AiiDA, so neither was it loaded, nor "
            'were its forces compared with its energies.',
            stacklevel=3,
        )
        return None
    try:
        trial = model_trial.try_model(path)
    except ValueError as error:
        raise ValueError(
            f"'{path}' is no model that DeePMD-kit (TensorFlow) can evaluate ({error}): compare its size with that of "
            'the original and copy it again, as a binary file.'
        ) from error
    fault = trial.find_fault()
    if fault is not None:
        raise ValueError(f"'{path}' {fault}.")
    return trial


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
