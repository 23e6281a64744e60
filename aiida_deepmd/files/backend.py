"""What DeePMD-kit's own check of a training input passes, and a training here would refuse or pass over in silence.

That check is one for all backends, for frames of any kind and for files that lie beside the input. Trained here is by
the TensorFlow backend, on energies and forces, in a folder that holds the frames and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

#: The backend that trains, as DeePMD-kit's documentation of an argument names it.
BACKEND = 'TensorFlow'
#: Names of its descriptor of three bodies.
_THREE_BODY = ('se_e3', 'se_at', 'se_t', 'se_a_3be')
#: Descriptors with attention, which take batches of frames with different atoms too.
ATTENTION = ('se_atten', 'dpa1', 'se_atten_v2')
_ACTIVATION = re.compile(r'tanh|gelu(_tf)?|relu6?|softplus|sigmoid|silu|silut(:.+)?|linear|none')
_SUPPORTED = re.compile(r'\(Supported Backend: ([^)]*)\)')
#: The kinds that can be trained here, of keys that have several.
_KINDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (('model', 'type'), 'standard', 'a network with a descriptor and a fitting net'),
    (('model', 'fitting_net', 'type'), 'ener', 'energies and forces'),
    (('loss', 'type'), 'ener', 'energies and forces'),
)
_PREFACTORS = {
    'v': 'virials',
    'ae': 'energies of single atoms',
    'gf': 'generalised coordinates',
    'pf': 'weights of the atoms (`settings.mask_fixed_atoms` sets these for fixed ones)',
}
#: What needs data that the datasets do not hold, or a file that the job does not have.
_MISSING: dict[tuple[str, ...], str] = {
    ('model', 'fitting_net', 'numb_fparam'): 'parameters of the frames',
    ('model', 'fitting_net', 'numb_aparam'): 'parameters of the atoms',
    ('model', 'spin'): 'spins',
    ('model', 'modifier'): 'model that would modify this one',
    ('model', 'use_srtab'): 'table of a pair potential',
    ('model', 'compress'): 'model to compress (use `settings.compress`)',
    ('loss', 'enable_atom_ener_coeff'): 'coefficients of the energies of the atoms',
    **{('loss', f'{end}_pref_{key}'): what for key, what in _PREFACTORS.items() for end in ('start', 'limit')},
}


def lookup(tree: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at ``path`` in nested mappings, or None.

    :param tree: nested mappings.
    :param path: the keys, from the outside in.
    """
    value: Any = tree
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def descriptors(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every descriptor of a model, those of a hybrid one by one.

    :param model: the block ``model`` of the training input.
    """
    descriptor = model.get('descriptor') or {}
    parts = descriptor.get('list') if descriptor.get('type') == 'hybrid' else [descriptor]
    for part in parts or []:
        if isinstance(part, Mapping):
            yield part


def check_trainable(parameters: Mapping[str, Any]) -> str | None:
    """Find what cannot be trained here whatever DeePMD-kit says of it.

    :param parameters: training input without systems and seeds.
    :return: one sentence that names the input, its value and the remedy; None if all is well.
    """
    for path, kind, purpose in _KINDS:
        value = lookup(parameters, path)
        if value not in (None, kind):
            return f"`parameters.{'.'.join(path)}` is '{value}'; only '{kind}' is trained here, for {purpose}: use it."
    for path, what in _MISSING.items():
        value = lookup(parameters, path)
        if value:
            return f'`parameters.{".".join(path)}` is {value!r}, but a training here has no {what}: leave it out.'
    loss = parameters['loss']
    if loss.get('use_huber') and loss.get('relative_f') is not None:
        return '`parameters.loss` has use_huber and relative_f, which DeePMD-kit cannot have together: leave one out.'
    attention = all(part.get('type') in ATTENTION for part in descriptors(parameters['model']))
    for block in ('training_data', 'validation_data'):
        message = _check_batch_size(block, lookup(parameters, ('training', block, 'batch_size')), attention)
        if message:
            return message
    training = parameters['training']
    return (
        _check_network(parameters['model'])
        or _check_schedule(parameters['learning_rate'], training['numb_steps'])
        or _check_output(training)
    )


def _check_batch_size(block: str, size: Any, attention: bool) -> str | None:
    """The datasets of a run become more, so their sizes cannot be listed; and each is one composition."""
    if size is None or (isinstance(size, int) and size >= 1):
        return None
    known = r'auto(:[1-9]\d*)?|(max|mixed):[1-9]\d*' if attention else r'auto(:[1-9]\d*)?|max:[1-9]\d*'
    if isinstance(size, str) and re.fullmatch(known, size):
        return None
    return (
        f'`parameters.training.{block}.batch_size` is {size!r}; give a whole number of frames, or one of "auto", '
        '"auto:N" and "max:N" with a number of atoms N ("mixed:N" with a number of frames for attention descriptors).'
    )


def _check_network(model: Mapping[str, Any]) -> str | None:
    """Lists that must be as long as something else, and each network by itself."""
    fitting = model.get('fitting_net') or {}
    layers = len(fitting.get('neuron', [120, 120, 120])) + 1
    for key, wanted in (('trainable', layers), ('layer_name', layers), ('atom_ener', len(model['type_map']))):
        value = fitting.get(key)
        if isinstance(value, list) and value and len(value) != wanted:
            return (
                f'`parameters.model.fitting_net.{key}` has {len(value)} entries, but {wanted} are needed: give those.'
            )
    batches = model.get('data_stat_nbatch', 1)
    if isinstance(batches, int) and batches < 1:
        return f'`parameters.model.data_stat_nbatch` is {batches}; give the batches of the statistics, at least 1.'
    message = _check_activation('fitting_net', fitting)
    for descriptor in descriptors(model):
        message = message or _check_activation('descriptor', descriptor) or _check_descriptor(descriptor)
    return message


def _check_activation(name: str, network: Mapping[str, Any]) -> str | None:
    """DeePMD-kit looks the function up when it builds the network."""
    function = str(network.get('activation_function', 'tanh'))
    if _ACTIVATION.fullmatch(function.lower()):
        return None
    return (
        f"`parameters.model.{name}.activation_function` is '{function}', which DeePMD-kit does not know; use tanh, "
        'gelu, silu or relu, say.'
    )


def _check_descriptor(descriptor: Mapping[str, Any]) -> str | None:
    """The numbers of a descriptor against each other, and what it lacks in this backend."""
    smooth, cutoff = descriptor.get('rcut_smth', 0.5), descriptor.get('rcut', 6.0)
    if _is_number(smooth) and _is_number(cutoff) and smooth > cutoff:
        return (
            f'`parameters.model.descriptor.rcut_smth` is {smooth:g} and rcut {cutoff:g}; the smoothing must begin '
            'before the cutoff: give a smaller rcut_smth.'
        )
    widths = descriptor.get('neuron', [10, 20, 40])
    if widths == []:
        return '`parameters.model.descriptor.neuron` is empty; give the width of each layer, for example [10, 20, 40].'
    axes = descriptor.get('axis_neuron')
    if isinstance(axes, int) and isinstance(widths, list) and isinstance(widths[-1], int) and axes > widths[-1]:
        return (
            f'`parameters.model.descriptor.axis_neuron` is {axes}, but the last layer of neuron {widths} has '
            f'{widths[-1]}: give at most as many.'
        )
    if descriptor.get('type') in _THREE_BODY and descriptor.get('exclude_types'):
        return (
            f'`parameters.model.descriptor.exclude_types` is {descriptor["exclude_types"]!r}, which '
            f"'{descriptor['type']}' does not have in DeePMD-kit's {BACKEND} backend: leave it out."
        )
    return None


def _check_schedule(rate: Mapping[str, Any], steps: int) -> str | None:
    """The learning rate against the number of steps, which DeePMD-kit does when the training begins."""
    start, warm, ratio = rate.get('start_lr'), rate.get('warmup_steps') or 0, rate.get('warmup_ratio') or 0
    if not _is_number(start) or not start > 0:
        return f'`parameters.learning_rate.start_lr` is {start!r}; give a learning rate above 0.'
    stop = rate.get('stop_lr')
    if stop is None:
        share = rate.get('stop_lr_ratio')
        value = f'{start * share:g}' if _is_number(share) else f'{start / 1000:g}, say'
        return (
            '`parameters.learning_rate.stop_lr` is missing, and a further training needs it: give the learning rate at '
            f'the end ({value}), and no stop_lr_ratio.'
        )
    if not _is_number(stop) or not 0 <= stop <= start:
        return f'`parameters.learning_rate.stop_lr` is {stop!r}; give one of at most start_lr, which is {start:g}.'
    if warm and ratio:
        return (
            f'`parameters.learning_rate` has warmup_steps {warm!r} and warmup_ratio {ratio!r}, which DeePMD-kit cannot '
            'have together: leave one out.'
        )
    if not isinstance(warm, int) or not 0 <= warm < steps:
        return (
            f'`parameters.learning_rate.warmup_steps` is {warm!r}, but the training has {steps} steps: give fewer, or '
            'a share of them as `warmup_ratio`.'
        )
    if not _is_number(ratio) or not 0 <= ratio < 1:
        return f'`parameters.learning_rate.warmup_ratio` is {ratio!r}; give a share of the training, below 1.'
    return None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_output(training: Mapping[str, Any]) -> str | None:
    """Without a learning curve a training here is none, and without checkpoints there is nothing to freeze."""
    for key, least in (('disp_freq', 1), ('save_freq', 0)):
        value = training.get(key)
        if value is not None and (not isinstance(value, int) or value < least):
            return f'`parameters.training.{key}` is {value!r}; give a whole number of steps, at least {least}.'
    mixed = training.get('mixed_precision')
    if mixed and (mixed.get('compute_prec') not in ('float16', 'bfloat16') or mixed.get('output_prec') == 'float64'):
        return (
            f"`parameters.training.mixed_precision` is {mixed!r}; use compute_prec 'float16' or 'bfloat16' and "
            "output_prec 'float32'."
        )
    if training.get('disp_training') is False:
        return '`parameters.training.disp_training` is false; leave it out: the learning curve is what it shows.'
    return None


def check_other_backends(complete: Mapping[str, Any]) -> str | None:
    """Find a setting that DeePMD-kit documents for other backends only.

    Some of them stop a training with TensorFlow when it begins, the others have no effect and nobody says so.

    :param complete: training input as DeePMD-kit's own check completes it, with the defaults in place.
    :return: one sentence that names the input, its value and the remedy; None if all is well.
    """
    from dargs import Argument
    from deepmd.utils.argcheck import gen_args

    found: list[str] = []

    def note(path: Sequence[str], value: Any, doc: str) -> None:
        match = _SUPPORTED.match(doc)
        backends = [name.strip() for name in match.group(1).split(',')] if match else [BACKEND]
        if BACKEND not in backends:
            shown = 'given' if isinstance(value, Mapping) else repr(value)
            found.append(
                f'`parameters.{".".join(path)}` is {shown}, which DeePMD-kit has for other backends only '
                f'({", ".join(backends)}); its {BACKEND} backend, which trains here, refuses it or passes over it '
                'without a word: leave it out.'
            )

    def note_argument(argument: Any, tree: dict[str, Any], path: list[str]) -> None:
        value = tree.get(argument.name)
        has_default = isinstance(argument.default, bool | int | float | str | list | dict)
        if argument.name in tree and (value != argument.default if has_default else value):
            note([*path, argument.name], value, argument.doc)

    def note_choice(variant: Any, tree: dict[str, Any], path: list[str]) -> None:
        choice = variant.get_choice(tree, path)
        note([*path, variant.flag_name], choice.name, choice.doc)

    base = Argument('base', dict, gen_args())
    base.traverse_value(dict(complete), key_hook=note_argument, variant_hook=note_choice)
    return found[0] if found else None
