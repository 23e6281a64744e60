"""The backends of DeePMD-kit, and what its own check of a training input passes, but a training here would not.

That check is one for all backends, for frames of any kind and for files that lie beside the input. Trained here is by
one of them, on energies and forces, in a folder that holds the frames and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeGuard

#: Names of the descriptor of three bodies.
_THREE_BODY = ('se_e3', 'se_at', 'se_t', 'se_a_3be')
#: Descriptors with attention of both backends.
ATTENTION = ('se_atten', 'dpa1', 'se_atten_v2')
_IN_BOTH = (*('se_e2_a', 'se_a', 'se_e2_r', 'se_r'), *_THREE_BODY, *ATTENTION, 'hybrid')
#: Descriptors made of parts: the part that sets the cutoff, and the names of its cutoff and its number of neighbours.
PARTS = {'dpa2': ('repinit', 'rcut', 'nsel'), 'dpa3': ('repflow', 'e_rcut', 'e_sel')}


@dataclass(frozen=True)
class Backend:
    """A backend as a training job sees it.

    :param name: name in the settings.
    :param label: name in DeePMD-kit's documentation.
    :param library: Python package without which it does not run.
    :param options: what stands between ``dp`` and the command.
    :param ending: ending of a frozen model.
    :param training_file: name in a potential of what a further training starts from, where that is not its model.
    :param checkpoint: file of the job that becomes ``training_file``; empty where that is the frozen model, which is
        kept beside a compressed one.
    :param starts: how a training starts, and the ending of the file that it starts from -> option of ``dp train``.
    :param trained: descriptors that it trains on energies and forces.
    :param finetuned: descriptors of the models that it fine-tunes; empty for all that it trains.
    :param retyped: those whose elements may be fewer and in another order after fine-tuning.
    :param example: descriptors to name where another was given.
    """

    name: str
    label: str
    library: str
    options: tuple[str, ...]
    ending: str
    training_file: str
    checkpoint: str
    starts: Mapping[tuple[str, str], str]
    trained: tuple[str, ...]
    finetuned: tuple[str, ...]
    retyped: tuple[str, ...]
    example: tuple[str, ...]

    @property
    def model_file(self) -> str:
        """Name in a potential of the model that LAMMPS reads."""
        return f'model{self.ending}'

    @property
    def frozen(self) -> str:
        """File of the frozen model in the job."""
        return f'frozen{self.ending}'

    @property
    def compressed(self) -> str:
        """File of the compressed model in the job."""
        return f'compressed{self.ending}'

    def start(self, how: str, training_file: str) -> tuple[str, str] | None:
        """How ``dp train`` starts from a file of a potential.

        :param how: ``continue`` or ``finetune``.
        :param training_file: name of the file in the potential.
        :return: the option and the name of the file in the job; None if it cannot.
        """
        ending = PurePath(training_file).suffix
        option = self.starts.get((how, ending))
        return None if option is None else (option, f'parent{ending}')


#: The frozen model holds every weight and statistic in double precision, at a quarter of the bytes of a checkpoint.
TENSORFLOW = Backend(
    name='tensorflow',
    label='TensorFlow',
    library='tensorflow',
    options=(),
    ending='.pb',
    training_file='frozen.pb',
    checkpoint='',
    starts={('continue', '.pb'): '--init-frz-model', ('finetune', '.pb'): '--finetune'},
    trained=(*_IN_BOTH, 'se_a_tpe_v2', 'se_a_ebd_v2'),
    finetuned=('se_atten', 'se_atten_v2'),
    retyped=(),
    example=('se_e2_a', *ATTENTION),
)
#: Fine-tuning reads a checkpoint only, and of a frozen model the weights are taken as far as their names agree.
PYTORCH = Backend(
    name='pytorch',
    label='PyTorch',
    library='torch',
    options=('--pt',),
    ending='.pth',
    training_file='checkpoint.pt',
    checkpoint='model.ckpt.pt',
    starts={
        ('continue', '.pt'): '--init-model',
        ('continue', '.pth'): '--init-frz-model',
        ('finetune', '.pt'): '--finetune',
    },
    trained=(*_IN_BOTH, 'se_e3_tebd', *PARTS),
    finetuned=(),
    retyped=(*ATTENTION, 'se_e3_tebd', *PARTS),
    example=('se_e2_a', *ATTENTION, *PARTS),
)
BACKENDS = {backend.name: backend for backend in (TENSORFLOW, PYTORCH)}
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


def cutoff_of(descriptor: Mapping[str, Any]) -> float | None:
    """The cutoff radius of a descriptor, Å; None if it does not say.

    :param descriptor: one descriptor, no hybrid.
    """
    part, key, _ = PARTS.get(str(descriptor.get('type')), ('', 'rcut', 'sel'))
    value = lookup(descriptor, (part, key)) if part else descriptor.get(key)
    return float(value) if _is_number(value) else None


def neighbours_of(descriptor: Mapping[str, Any]) -> list[int]:
    """The largest number of neighbours of a descriptor, of each type or in total; empty if it does not say.

    :param descriptor: one descriptor, no hybrid.
    """
    part, _, key = PARTS.get(str(descriptor.get('type')), ('', 'rcut', 'sel'))
    value = lookup(descriptor, (part, key)) if part else descriptor.get(key)
    return [number for number in (value if isinstance(value, list) else [value]) if isinstance(number, int)]


def check_trainable(parameters: Mapping[str, Any], backend: Backend = TENSORFLOW) -> str | None:
    """Find what cannot be trained here whatever DeePMD-kit says of it.

    :param parameters: training input without systems and seeds.
    :param backend: what trains.
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
    mixed = backend is TENSORFLOW and all(part.get('type') in ATTENTION for part in descriptors(parameters['model']))
    for block in ('training_data', 'validation_data'):
        message = _check_batch_size(block, lookup(parameters, ('training', block, 'batch_size')), mixed)
        if message:
            return message
    training = parameters['training']
    return (
        _check_network(parameters['model'], backend)
        or _check_schedule(parameters['learning_rate'], training['numb_steps'])
        or _check_output(training)
        or (_check_weights(training) if backend is PYTORCH else None)
    )


def _check_batch_size(block: str, size: Any, mixed: bool) -> str | None:
    """The datasets of a run become more, so their sizes cannot be listed; and each is one composition."""
    if size is None or (isinstance(size, int) and size >= 1):
        return None
    known = r'auto(:[1-9]\d*)?|(max|mixed):[1-9]\d*' if mixed else r'auto(:[1-9]\d*)?|max:[1-9]\d*'
    if isinstance(size, str) and re.fullmatch(known, size):
        return None
    return (
        f'`parameters.training.{block}.batch_size` is {size!r}; give a whole number of frames, or one of "auto", '
        '"auto:N" and "max:N" with a number of atoms N ("mixed:N" with a number of frames for attention descriptors '
        'with TensorFlow).'
    )


def _check_network(model: Mapping[str, Any], backend: Backend) -> str | None:
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
        message = message or _check_activation('descriptor', descriptor) or _check_descriptor(descriptor, backend)
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


def _check_descriptor(descriptor: Mapping[str, Any], backend: Backend) -> str | None:
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
    if backend is TENSORFLOW and descriptor.get('type') in _THREE_BODY and descriptor.get('exclude_types'):
        return (
            f'`parameters.model.descriptor.exclude_types` is {descriptor["exclude_types"]!r}, which '
            f"'{descriptor['type']}' does not have in DeePMD-kit's {backend.label} backend: leave it out."
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


def _check_weights(training: Mapping[str, Any]) -> str | None:
    """The last weights of the job's own folder are what is frozen."""
    if training.get('enable_ema'):
        return (
            '`parameters.training.enable_ema` is true, but the mean of the weights is saved beside the weights, and '
            'these are frozen: leave it out, and let the learning rate end low.'
        )
    return None


def check_other_backends(complete: Mapping[str, Any], backend: Backend = TENSORFLOW) -> str | None:
    """Find a setting that DeePMD-kit documents for other backends only.

    Some of them stop a training when it begins, the others have no effect and nobody says so.

    :param complete: training input as DeePMD-kit's own check completes it, with the defaults in place.
    :param backend: what trains.
    :return: one sentence that names the input, its value and the remedy; None if all is well.
    """
    from dargs import Argument
    from deepmd.utils.argcheck import gen_args

    found: list[str] = []

    def note(path: Sequence[str], value: Any, doc: str) -> None:
        match = _SUPPORTED.match(doc)
        backends = [name.strip() for name in match.group(1).split(',')] if match else [backend.label]
        if backend.label not in backends:
            shown = 'given' if isinstance(value, Mapping) else repr(value)
            found.append(
                f'`parameters.{".".join(path)}` is {shown}, which DeePMD-kit has for other backends only '
                f'({", ".join(backends)}); its {backend.label} backend, which trains here, refuses it or passes '
                'over it without a word: leave it out.'
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
