"""Which potential a training can start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_deepmd.calculations.train_settings import TrainSettings
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files.backend import TENSORFLOW, Backend, cutoff_of, descriptors, neighbours_of
from aiida_deepmd.files.model_file import read_model


def check_parent(inputs: Mapping[str, Any], parameters: Mapping[str, Any], settings: TrainSettings) -> str | None:
    """Find what keeps a training from starting from its parent: it must be the same network, of the same backend.

    :param inputs: inputs of the calculation.
    :param parameters: its training input.
    :param settings: its settings.
    :return: one sentence that names the input, its value and the remedy; None if all is well.
    """
    parent, backend = inputs.get('parent'), settings.backend_facts
    if parent is None:
        return '`settings.model_branch` is given but no `parent`: leave it out.' if settings.model_branch else None
    if 'restart_folder' in inputs:
        return '`parent` and `restart_folder` are both given; a training starts from one of them: leave the other out.'
    if parent.deepmd_backend != backend.name:
        return (
            f'`parent` is a potential of the {parent.backend_facts.label} backend, but `settings.backend` is '
            f"'{backend.name}', and a conversion makes another potential of it: set '{parent.deepmd_backend}', or "
            'train anew on its frames.'
        )
    return (
        _validate_branch(parent, settings)
        or _validate_elements(parent, list(parameters['model']['type_map']), settings)
        or _validate_network(parent, parameters)
        or (_validate_finetuning(parent, backend) if settings.start == 'finetune' else None)
    )


def _validate_branch(parent: PotentialData, settings: TrainSettings) -> str | None:
    """Of a model of several tasks one is fine-tuned, by its name."""
    names, branch = list(parent.branches), settings.model_branch
    if names and settings.start != 'finetune':
        return f"`parent` has the branches {names}, of which one can be fine-tuned: set `settings.start` to 'finetune'."
    if names and branch not in (*names, 'RANDOM'):
        return (
            f'`settings.model_branch` is {branch!r}, but `parent` has the branches {names}: name one, or RANDOM for a '
            'new fitting net.'
        )
    if branch and not names and settings.backend_facts is TENSORFLOW:
        return f"`settings.model_branch` is '{branch}', but only models of PyTorch have branches: leave it out."
    if branch and not names and not (branch == 'RANDOM' and settings.start == 'finetune'):
        return f"`settings.model_branch` is '{branch}', but `parent` is a model of one task: leave it out."
    return None


def _validate_elements(parent: PotentialData, type_map: list[str], settings: TrainSettings) -> str | None:
    """The same elements in the same order; fine-tuning can choose among them where they are an embedding."""
    known = parent.branches.get(settings.model_branch or '', parent.type_map)
    if known == type_map:
        return None
    if settings.start == 'finetune' and parent.descriptor in settings.backend_facts.retyped:
        missing = sorted(set(type_map) - set(known))
        if not missing:
            return None
        return f'`parent` was not trained on {", ".join(missing)}: leave these out of `parameters.model.type_map`.'
    return f'`parent` has the type_map {known}, but `parameters.model.type_map` is {type_map}.'


def _validate_network(parent: PotentialData, parameters: Mapping[str, Any]) -> str | None:
    """The descriptor of the parent, as far as the parent knows it; of a hybrid only that it is one."""
    if parent.training_filename == parent.model_filename and parent.compressed:
        return '`parent` holds a compressed model alone, which cannot be trained further: give the frozen one.'
    whole = parameters['model'].get('descriptor', {}).get('type')
    if parent.descriptor and parent.descriptor != whole:
        return (
            f"`parent` has the descriptor '{parent.descriptor}', but `parameters.model.descriptor.type` is '{whole}'."
        )
    if whole == 'hybrid':
        return None
    descriptor = next(descriptors(parameters['model']), {})
    wanted, rcut = neighbours_of(descriptor), cutoff_of(descriptor)
    if parent.sel and wanted and parent.sel != wanted:
        return f'`parent` was trained with sel {parent.sel}; `parameters.model.descriptor.sel` is {wanted}: keep it.'
    if parent.rcut and rcut is not None and abs(parent.rcut - rcut) > 1e-9:
        return (
            f'`parent` was trained with rcut {parent.rcut:g}; `parameters.model.descriptor.rcut` is {rcut:g}: keep it.'
        )
    return None


def _validate_finetuning(parent: PotentialData, backend: Backend) -> str | None:
    """What the backend can fine-tune."""
    if backend.finetuned and parent.descriptor not in backend.finetuned:
        return (
            f"`settings.start` is 'finetune', which DeePMD-kit ({backend.label}) does for the descriptors "
            f"{list(backend.finetuned)} only; `parent` has '{parent.descriptor}': use 'continue'."
        )
    if backend.start('finetune', parent.training_filename) is None:
        return (
            "`settings.start` is 'finetune', which needs a checkpoint (*.pt); `parent` is a frozen model alone: import "
            "the checkpoint it was frozen from, or use 'continue'."
        )
    if backend is not TENSORFLOW:
        return None
    with parent.base.repository.open(parent.training_filename, 'rb') as handle:
        if not read_model(handle.read()).model:
            return (
                "`settings.start` is 'finetune', but `parent` does not hold its training input (DeePMD-kit 2.1.5 and "
                "later write it into the model): use 'continue'."
            )
    return None
