"""DeePMD-kit's training input checked and completed, as plain functions. Its output is read in ``output``."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from aiida_deepmd.files.backend import (
    ATTENTION,
    BACKENDS,
    TENSORFLOW,
    Backend,
    check_other_backends,
    check_trainable,
    cutoff_of,
    descriptors,
    lookup,
)

INPUT_FILENAME = 'input.json'
LEARNING_CURVE_FILENAME = 'lcurve.out'
CHECKPOINT_PREFIX = 'model.ckpt'
BLOCKS = ('model', 'learning_rate', 'loss', 'training')
#: Keys of the training input that the calculation fills in, as paths.
RESERVED = (
    *(
        ('training', block, key)
        for block in ('training_data', 'validation_data')
        for key in ('systems', 'auto_prob', 'auto_prob_style', 'sys_probs', 'sys_weights')
    ),
    ('training', 'seed'),
    ('training', 'disp_file'),
    ('training', 'save_ckpt'),
    ('training', 'save_dir'),
    ('model', 'descriptor', 'seed'),
    ('model', 'fitting_net', 'seed'),
)
#: Activation functions that `dp compress` tabulates.
_TABULATED = ('tanh', 'gelu', 'gelu_tf', 'relu', 'relu6', 'softplus', 'sigmoid')
#: Keys that hold numbers of neighbours, in a descriptor or in one of its parts.
_NEIGHBOURS = ('sel', 'nsel', 'e_sel', 'a_sel', 'three_body_sel')
_REMEDY = {
    'systems': 'give the data through the `datasets` namespace',
    'auto_prob': 'give the shares through `settings.weights`',
    'auto_prob_style': 'give the shares through `settings.weights`',
    'sys_probs': 'give the shares through `settings.weights`',
    'sys_weights': 'give the shares through `settings.weights`',
    'seed': 'give it through the `seed` input',
}


def check_parameters(parameters: Mapping[str, Any], backend: Backend = TENSORFLOW) -> str | None:
    """Find what would spoil the training, before a queue is waited for.

    :param parameters: training input without systems and seeds.
    :param backend: what trains.
    :return: one sentence that names the input, its value and the remedy; None if all is well.
    """
    for block in BLOCKS:
        if not isinstance(parameters.get(block), Mapping):
            return f'`parameters` lacks the block `{block}`: DeePMD-kit needs {", ".join(BLOCKS)}.'
    for path in RESERVED:
        if lookup(parameters, path) is not None:
            remedy = _REMEDY.get(path[-1], 'leave it out: the calculation sets it')
            return f'`parameters.{".".join(path)}` is {lookup(parameters, path)!r}; {remedy}.'
    message = _check_optimizer(parameters.get('optimizer'), backend)
    if message:
        return message
    type_map = lookup(parameters, ('model', 'type_map'))
    if not type_map or not isinstance(type_map, Sequence) or len(set(type_map)) != len(type_map):
        return f'`parameters.model.type_map` is {type_map!r}; list each element once, in the order of the datasets.'
    steps = lookup(parameters, ('training', 'numb_steps'))
    if not isinstance(steps, int) or steps < 1:
        return f'`parameters.training.numb_steps` is {steps!r}; give the number of training steps, at least 1.'
    message = check_trainable(parameters, backend)
    for part in descriptors(parameters['model']):
        message = message or _check_type(part, backend) or _check_sel(part, len(type_map))
    return message or _ask_deepmd(parameters, backend)


def _check_type(descriptor: Mapping[str, Any], backend: Backend) -> str | None:
    """DeePMD-kit's own check of the input passes the descriptors of every backend."""
    kind = descriptor.get('type', 'se_e2_a')
    if kind in backend.trained:
        return None
    other = next((one.name for one in BACKENDS.values() if kind in one.trained), None)
    return (
        f"`parameters.model.descriptor.type` is '{kind}', which DeePMD-kit's {backend.label} backend does not have, or "
        f'not for this, and it is the one that trains here; use for example {", ".join(backend.example)}'
        + (f", or set `settings.backend` to '{other}'." if other else '.')
    )


def check_compressible(parameters: Mapping[str, Any], backend: Backend = TENSORFLOW) -> str | None:
    """Find what keeps a model from being compressed, before it is trained.

    :param parameters: training input.
    :param backend: what trains.
    :return: one sentence that names the input, its value and the remedy; None if all is well.
    """
    for part in descriptors(parameters['model']):
        kind = part.get('type', 'se_e2_a')
        if kind not in TENSORFLOW.trained:
            return (
                f"`parameters.model.descriptor.type` is '{kind}', which is not compressed here: leave "
                '`settings.compress` out.'
            )
        if part.get('resnet_dt'):
            return (
                '`parameters.model.descriptor.resnet_dt` is true, and DeePMD-kit does not compress that: leave it out, '
                'or leave `settings.compress` out.'
            )
        function = part.get('activation_function', 'tanh')
        if function not in _TABULATED:
            return (
                f"`parameters.model.descriptor.activation_function` is '{function}', and DeePMD-kit compresses "
                f'{", ".join(_TABULATED)} only: use one of these, or leave `settings.compress` out.'
            )
        if part.get('type') not in ATTENTION:
            continue
        if backend is TENSORFLOW and part.get('attn_layer', 2) != 0:
            return (
                f'`parameters.model.descriptor.attn_layer` is {part.get("attn_layer", 2)}, and DeePMD-kit compresses '
                'attention descriptors without attention layers only: use 0, or leave `settings.compress` out.'
            )
        stripped = part.get('stripped_type_embedding') or part.get('tebd_input_mode', 'concat') == 'strip'
        if kind != 'se_atten_v2' and not stripped:
            return (
                f'`parameters.model.descriptor.tebd_input_mode` is {part.get("tebd_input_mode", "concat")!r}, and '
                "DeePMD-kit compresses 'strip' only: use that, or leave `settings.compress` out."
            )
    return None


def _check_sel(descriptor: Mapping[str, Any], n_types: int) -> str | None:
    """``auto`` changes with the data, and a model whose ``sel`` changed can't be trained further."""
    sel = descriptor.get('sel')
    found = {'sel': sel} if cutoff_of({**descriptor, 'type': ''}) or sel is not None else {}
    for name, part in descriptor.items():
        if isinstance(part, Mapping):
            found |= {f'{name}.{key}': value for key, value in part.items() if key in _NEIGHBOURS}
    for name, value in found.items():
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            return (
                f'`parameters.model.descriptor.{name}` is {value!r}; give fixed numbers: "auto" follows the data, and '
                'a training on other data could not continue from this one.'
            )
    if isinstance(sel, list) and len(sel) not in (1, n_types):
        return f'`parameters.model.descriptor.sel` has {len(sel)} numbers but type_map has {n_types} elements.'
    return None


def _ask_deepmd(parameters: Mapping[str, Any], backend: Backend) -> str | None:
    """DeePMD-kit's own check of the input, and what it documents, where it is installed beside AiiDA."""
    try:
        from dargs.dargs import ArgumentError
        from deepmd.utils.argcheck import normalize
    except ImportError:
        return None
    complete = complete_input(parameters, ['data'], ['data'], seed=1)
    try:
        complete = normalize(complete)
    except (ArgumentError, ValueError, TypeError, KeyError) as error:
        return f'DeePMD-kit refuses `parameters`: {error}'
    return check_other_backends(complete, backend)


def complete_input(
    parameters: Mapping[str, Any],
    training_systems: Sequence[str],
    validation_systems: Sequence[str],
    seed: int,
    weights: Sequence[float] | None = None,
    masked: bool = False,
) -> dict[str, Any]:
    """Add systems, seeds and file names to a training input.

    :param parameters: training input without systems and seeds; not changed.
    :param training_systems: folders of the systems, relative to the job's folder.
    :param validation_systems: likewise; without any, nothing is validated.
    :param seed: one seed for data, descriptor and fitting net.
    :param weights: share of each training system, sum 1; by default each system's share of the frames.
    :param masked: weigh each atom's force by the systems' ``atom_pref.npy``, so that fixed atoms do not count.
    """
    complete: dict[str, Any] = copy.deepcopy(dict(parameters))
    training = complete['training']
    data = training.setdefault('training_data', {})
    data['systems'] = list(training_systems)
    if weights is not None:
        blocks = [f'{i}:{i + 1}:{weight:.6f}' for i, weight in enumerate(weights)]
        data['auto_prob'] = '; '.join(['prob_sys_size', *blocks])
    if validation_systems:
        training.setdefault('validation_data', {})['systems'] = list(validation_systems)
    else:
        training.pop('validation_data', None)
    if masked:
        complete['loss'] = mask_loss(complete['loss'])
    if 'start_lr' in (rate := complete.get('learning_rate', {})):
        rate['start_lr'] = float(rate['start_lr'])  # AiiDA keeps 1e14 and more as a whole number, which numpy refuses
    training['seed'] = seed
    training['disp_file'] = LEARNING_CURVE_FILENAME
    training['save_ckpt'] = CHECKPOINT_PREFIX
    training['save_freq'] = save_freq(training)
    for part in (*descriptors(complete['model']), complete['model'].get('fitting_net', {})):
        part['seed'] = seed
    return complete


#: What each backend of DeePMD-kit 3.2 minimises with, where it does not have all that are documented.
_OPTIMIZERS = {TENSORFLOW.name: ('Adam',)}


def _check_optimizer(optimizer: Any, backend: Backend) -> str | None:
    """The block may be left out; DeePMD-kit's own check passes the optimizers of every backend, and any beta."""
    if optimizer is None:
        return None
    if not isinstance(optimizer, Mapping):
        return f"`parameters.optimizer` is {optimizer!r}; give {{'type': 'Adam', 'adam_beta2': 0.99}}, say."
    kind, known = optimizer.get('type', 'Adam'), _OPTIMIZERS.get(backend.name)
    if known is not None and kind not in known:
        return (
            f"`parameters.optimizer.type` is {kind!r}, which DeePMD-kit's {backend.label} backend does not have, and "
            f"that is the one that trains here: use '{known[0]}' (with adam_beta1 and adam_beta2), or set "
            "`settings.backend` to 'pytorch'."
        )
    if known is not None and optimizer.get('weight_decay'):
        return (
            f"`parameters.optimizer.weight_decay` is {optimizer['weight_decay']!r}, which DeePMD-kit's "
            f'{backend.label} backend does not have, and that is the one that trains here: leave it out.'
        )
    for key in ('adam_beta1', 'adam_beta2'):
        beta = optimizer.get(key, 0.9)
        if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 <= beta < 1:
            return f'`parameters.optimizer.{key}` is {beta!r}; give a number of at least 0 and below 1, 0.99 say.'
    return None


def save_freq(training: Mapping[str, Any]) -> int:
    """Steps from checkpoint to checkpoint: the asked ones, made up to a multiple of those from display to display.

    DeePMD-kit (TensorFlow) saves on the way only at steps that it displays, and at the end only if the last step is no
    multiple of ``save_freq``. With a multiple, the last step is saved either way, and it is what is frozen.

    :param training: the block ``training`` of the training input.
    """
    shown, wanted = int(training.get('disp_freq', 1000)), int(training.get('save_freq', 1000))
    return shown * -(-wanted // shown)


#: What DeePMD-kit takes where the loss does not name a force prefactor.
_FORCE_PREFACTORS = {'start_pref': 1000, 'limit_pref': 1.0}


def mask_loss(loss: Mapping[str, Any]) -> dict[str, Any]:
    """Hand the force prefactors of a loss over to its atom-preference term.

    That term is the same mean square over all components, each weighted by its atom: with weight 1 everywhere it *is*
    the force term, and an atom of weight 0 leaves both the loss and its gradient.

    :param loss: the block ``loss`` of the training input; not changed.
    """
    masked = dict(loss)
    for prefix, default in _FORCE_PREFACTORS.items():
        masked[f'{prefix}_pf'] = masked.get(f'{prefix}_f', default)
        masked[f'{prefix}_f'] = 0
    return masked


def check_maskable(loss: Mapping[str, Any], optimizer: Mapping[str, Any] | None = None) -> str | None:
    """Find what keeps fixed atoms from being masked.

    :param loss: the block ``loss`` of the training input.
    :param optimizer: the block ``optimizer``, if there is one.
    :return: one sentence that names the key, its value and the remedy; None if all is well.
    """
    remedy = 'or train on the zero forces of fixed atoms by `settings.mask_fixed_atoms` false'
    if (optimizer or {}).get('type') == 'LKF':
        return f"`parameters.optimizer.type` is 'LKF', which learns all forces alike; use another {remedy}."
    kind = loss.get('type', 'ener')
    if kind != 'ener':
        return f"`parameters.loss.type` is '{kind}', which can't leave out fixed atoms; use 'ener' {remedy}."
    for key in ('use_huber', 'relative_f'):
        if loss.get(key):
            return (
                f'`parameters.loss.{key}` is {loss[key]!r}, and DeePMD-kit has no such loss with fixed atoms masked; '
                f'leave it out {remedy}.'
            )
    return None


def suggest_sel(structures: Sequence[Atoms], type_map: Sequence[str], rcut: float, margin: float = 1.2) -> list[int]:
    """Suggest the `sel` of a smooth-edition descriptor, one number for each element.

    It must stay the same in every further training, since the weights are laid out by it, so it has room to spare for
    data that does not exist yet.

    :param structures: structures of the kind that the potential is for.
    :param type_map: the elements in the order of the potential.
    :param rcut: cutoff radius in Å.
    :param margin: factor on the largest number of neighbours found.
    :returns: the largest number of neighbours of each element, times ``margin``, rounded up to a multiple of four.
    """
    largest = np.zeros(len(type_map))
    for atoms in structures:
        centre, neighbour = neighbor_list('ij', atoms, rcut)
        symbols = np.array(atoms.get_chemical_symbols())
        for index, element in enumerate(type_map):
            counts = np.bincount(centre[symbols[neighbour] == element], minlength=len(atoms))
            largest[index] = max(largest[index], counts.max(initial=0))
    return [max(4, math.ceil(count * margin / 4) * 4) for count in largest]
