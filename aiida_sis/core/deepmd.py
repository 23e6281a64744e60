"""DeePMD-kit's input completed and its output read, as plain functions on text.

Written against DeePMD-kit 3 (TensorFlow backend); the lines that are read have not changed since version 2.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

INPUT_FILENAME = 'input.json'
LEARNING_CURVE_FILENAME = 'lcurve.out'
CHECKPOINT_PREFIX = 'model.ckpt'
BLOCKS = ('model', 'learning_rate', 'loss', 'training')
#: Keys of the training input that the calculation fills in, as paths.
RESERVED = (
    ('training', 'training_data', 'systems'),
    ('training', 'training_data', 'auto_prob'),
    ('training', 'training_data', 'sys_probs'),
    ('training', 'validation_data', 'systems'),
    ('training', 'seed'),
    ('training', 'disp_file'),
    ('training', 'save_ckpt'),
    ('model', 'descriptor', 'seed'),
    ('model', 'fitting_net', 'seed'),
)
_REMEDY = {
    'systems': 'give the data through the `datasets` namespace',
    'auto_prob': 'give the shares through `settings.weights`',
    'sys_probs': 'give the shares through `settings.weights`',
    'seed': 'give it through the `seed` input',
}


class DeepmdOutputError(ValueError):
    """A file written by DeePMD-kit is not what it should be."""


def _lookup(tree: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at ``path`` in nested mappings, or None."""
    value: Any = tree
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def descriptors(parameters: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every descriptor of the model, those of a hybrid one by one.

    :param parameters: training input.
    """
    descriptor = _lookup(parameters, ('model', 'descriptor')) or {}
    parts = descriptor.get('list') if descriptor.get('type') == 'hybrid' else [descriptor]
    for part in parts or []:
        if isinstance(part, Mapping):
            yield part


def check_parameters(parameters: Mapping[str, Any]) -> str | None:
    """Find what would spoil the training, before a queue is waited for.

    :param parameters: training input without systems and seeds.
    :return: one sentence that names the input, its value and the remedy; None if all is well.
    """
    for block in BLOCKS:
        if not isinstance(parameters.get(block), Mapping):
            return f'`parameters` lacks the block `{block}`: DeePMD-kit needs {", ".join(BLOCKS)}.'
    for path in RESERVED:
        if _lookup(parameters, path) is not None:
            remedy = _REMEDY.get(path[-1], 'leave it out: the calculation sets it')
            return f'`parameters.{".".join(path)}` is {_lookup(parameters, path)!r}; {remedy}.'
    type_map = _lookup(parameters, ('model', 'type_map'))
    if not type_map or not isinstance(type_map, Sequence) or len(set(type_map)) != len(type_map):
        return f'`parameters.model.type_map` is {type_map!r}; list each element of the whole run once, in order.'
    for part in descriptors(parameters):
        message = _check_sel(part, len(type_map))
        if message:
            return message
    steps = _lookup(parameters, ('training', 'numb_steps'))
    if not isinstance(steps, int) or steps < 1:
        return f'`parameters.training.numb_steps` is {steps!r}; give the number of training steps, at least 1.'
    return _ask_deepmd(parameters)


def _check_sel(descriptor: Mapping[str, Any], n_types: int) -> str | None:
    """``auto`` changes with the data, and a model whose ``sel`` changed can't be trained further."""
    if 'sel' not in descriptor and str(descriptor.get('type', '')).startswith('dpa'):
        return None  # the nested blocks of DPA-2 and DPA-3 name it `nsel`, always a number
    sel = descriptor.get('sel')
    numbers = sel if isinstance(sel, list) else [sel]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        return (
            f'`parameters.model.descriptor.sel` is {sel!r}; give fixed numbers: "auto" follows the data, and the next '
            'generation could not continue from this one.'
        )
    if isinstance(sel, list) and len(sel) not in (1, n_types):
        return f'`parameters.model.descriptor.sel` has {len(sel)} numbers but type_map has {n_types} elements.'
    return None


def _ask_deepmd(parameters: Mapping[str, Any]) -> str | None:
    """DeePMD-kit's own check of the input, where it is installed beside AiiDA (it needs no TensorFlow)."""
    try:
        from dargs.dargs import ArgumentError
        from deepmd.utils.argcheck import normalize
    except ImportError:
        return None
    complete = complete_input(parameters, ['data'], ['data'], seed=1)
    try:
        normalize(complete)
    except (ArgumentError, ValueError, TypeError, KeyError) as error:
        return f'DeePMD-kit refuses `parameters`: {error}'
    return None


def complete_input(
    parameters: Mapping[str, Any],
    training_systems: Sequence[str],
    validation_systems: Sequence[str],
    seed: int,
    weights: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Add systems, seeds and file names to a training input.

    :param parameters: training input without systems and seeds; not changed.
    :param training_systems: folders of the systems, relative to the job's folder.
    :param validation_systems: likewise; without any, nothing is validated.
    :param seed: one seed for data, descriptor and fitting net.
    :param weights: share of each training system, sum 1; by default each system's share of the frames.
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
    training['seed'] = seed
    training['disp_file'] = LEARNING_CURVE_FILENAME
    training['save_ckpt'] = CHECKPOINT_PREFIX
    for part in (*descriptors(complete), complete['model'].get('fitting_net', {})):
        part['seed'] = seed
    return complete


@dataclass(frozen=True)
class LearningCurve:
    """The columns of ``lcurve.out`` by name; ``step`` and ``lr`` are always there.

    :param columns: name -> (n_rows,); ``rmse_e_*`` in eV/atom, ``rmse_f_*`` in eV/Å, ``rmse*`` weighted, no unit.
    """

    columns: dict[str, FloatArray]

    def last(self, name: str) -> float | None:
        """Last value of a column, None if there is no such column.

        :param name: name of the column.
        """
        return float(self.columns[name][-1]) if name in self.columns else None

    @property
    def first_bad_step(self) -> int | None:
        """First step at which a training error is not finite, None if all are."""
        names = [name for name in self.columns if name.startswith('rmse') and name.endswith('trn')]
        bad = np.zeros(len(self.columns['step']), dtype=bool)
        for name in names:
            bad |= ~np.isfinite(self.columns[name])
        return int(self.columns['step'][bad][0]) if bad.any() else None


def parse_learning_curve(text: str) -> LearningCurve:
    """Read ``lcurve.out``; a last line cut short by a kill is dropped.

    :param text: content of the file.
    :raises DeepmdOutputError: if there is no header or no complete row.
    """
    names: list[str] = []
    rows: list[list[float]] = []
    for line in text[: text.rfind('\n') + 1].splitlines():
        words = line.lstrip('# ').split()
        if line.startswith('#'):
            names = words if words[:1] == ['step'] else names
        elif names and len(words) == len(names):
            try:
                rows.append([float(word) for word in words])
            except ValueError:
                break
    if not names:
        raise DeepmdOutputError("the learning curve has no header line that starts with '# step'")
    if not rows:
        raise DeepmdOutputError('the learning curve has no complete row')
    table = np.array(rows)
    names = [f'{name}_trn' if re.fullmatch(r'rmse(_[a-z]+)?(?<!_val)(?<!_trn)', name) else name for name in names]
    return LearningCurve({name: table[:, i] for i, name in enumerate(names)})


@dataclass(frozen=True)
class TrainLog:
    """What the output of ``dp train`` tells.

    :param finished: whether the training reached its last step.
    :param version: version of DeePMD-kit, empty if not printed yet.
    :param n_steps: last step reported, 0 if none.
    :param wall_seconds: time of the training loop, s; None if it did not finish.
    :param seconds_per_step: s; None if not reported.
    :param error: last line of a Python traceback, None if there was none.
    :param nan_step: step at which DeePMD-kit saw a NaN and gave up, None if it did not.
    :param warnings: warnings of DeePMD-kit, each once.
    """

    finished: bool
    version: str = ''
    n_steps: int = 0
    wall_seconds: float | None = None
    seconds_per_step: float | None = None
    error: str | None = None
    nan_step: int | None = None
    warnings: list[str] = field(default_factory=list)


_IGNORED_WARNINGS = ('DP_INFER_BATCH_SIZE', 'OMP_NUM_THREADS', 'INTRA_OP_PARALLELISM', 'INTER_OP_PARALLELISM')


def parse_train_log(text: str) -> TrainLog:
    """Read the joined output of ``dp train``.

    :param text: content of the file, possibly cut off anywhere.
    """
    version = re.search(r'DEEPMD INFO\s+Source:\s+v?(\S+)', text)
    wall = re.search(r'^\S+ \S+ DEEPMD INFO\s+wall time: ([\d.]+) s', text, re.MULTILINE)
    per_step = re.search(r'average training time: ([\d.]+) s/batch', text)
    steps = re.findall(r'DEEPMD INFO\s+Batch\s+(\d+):', text)
    nan = re.search(r'NaN detected at batch\s+(\d+)', text)
    found = re.findall(r'DEEPMD WARNING\s+(.+)', text)
    warnings = [w.strip() for w in dict.fromkeys(found) if not any(word in w for word in _IGNORED_WARNINGS)]
    return TrainLog(
        finished='finished training' in text,
        version=version.group(1) if version else '',
        n_steps=int(steps[-1]) if steps else 0,
        wall_seconds=float(wall.group(1)) if wall else None,
        seconds_per_step=float(per_step.group(1)) if per_step else None,
        error=find_error(text),
        nan_step=int(nan.group(1)) if nan else None,
        warnings=warnings,
    )


def find_error(text: str) -> str | None:
    """The exception a traceback ends in, None if there is no traceback.

    :param text: output of any ``dp`` command.
    """
    start = text.rfind('Traceback (most recent call last)')
    if start < 0:
        return None
    match = re.search(r'^(?:[\w.]+(?:Error|Exception|Interrupt|Exit)\b.*)$', text[start:], re.MULTILINE)
    return match.group(0).strip() if match else 'a Python traceback without a last line'


@dataclass(frozen=True)
class SystemErrors:
    """Errors of a potential on one system, from ``dp test``.

    :param n_frames: frames tested.
    :param energy_rmse: eV/atom.
    :param force_rmse: eV/Å, over all components.
    :param energy_mae: eV/atom.
    :param force_mae: eV/Å.
    """

    n_frames: int
    energy_rmse: float
    force_rmse: float
    energy_mae: float
    force_mae: float


_TEST_LINES = {
    'n_frames': r'number of test data : (\d+)',
    'energy_mae': r'Energy MAE/Natoms\s+: (\S+)',
    'energy_rmse': r'Energy RMSE/Natoms\s+: (\S+)',
    'force_mae': r'Force\s+MAE\s+: (\S+)',
    'force_rmse': r'Force\s+RMSE\s+: (\S+)',
}


def parse_test_log(text: str) -> dict[str, SystemErrors]:
    """Read the joined output of ``dp test`` over several systems.

    :param text: content of the file.
    :return: folder of each system -> its errors.
    :raises DeepmdOutputError: if no system was tested, or one lacks a number.
    """
    body = text.split('weighted average of errors')[0]
    parts = re.split(r'# testing system : (\S+)', body)
    errors: dict[str, SystemErrors] = {}
    for system, part in zip(parts[1::2], parts[2::2], strict=True):
        values: dict[str, float] = {}
        for name, pattern in _TEST_LINES.items():
            match = re.search(pattern, part)
            if match is None:
                raise DeepmdOutputError(f"the test of system '{system}' does not report its {name}")
            values[name] = float(match.group(1))
        errors[system] = SystemErrors(
            n_frames=int(values['n_frames']),
            energy_rmse=values['energy_rmse'],
            force_rmse=values['force_rmse'],
            energy_mae=values['energy_mae'],
            force_mae=values['force_mae'],
        )
    if not errors:
        raise DeepmdOutputError('no system was tested')
    return errors


def parse_detail(text: str) -> FloatArray:
    """Read a detail file of ``dp test -d``: reference beside prediction.

    The systems follow each other in the order they were tested in; DeePMD-kit 3.2 names only the first.

    :param text: content of ``detail.f.out``, ``detail.e.out`` and the like.
    :return: (n_rows, n_columns); the first half of the columns is the reference.
    :raises DeepmdOutputError: if the rows are not a table of numbers.
    """
    try:
        rows = [[float(word) for word in line.split()] for line in text.splitlines() if not line.startswith('#')]
        table = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise DeepmdOutputError(f'the details of the test are not a table: {error}') from error
    if table.ndim != 2 or table.shape[1] % 2:
        raise DeepmdOutputError(f'the details of the test have the shape {table.shape}')
    return table


def pool(errors: Mapping[str, SystemErrors], n_atoms: Mapping[str, int]) -> tuple[float, float]:
    """Errors over all systems together: every frame counts once for the energy, every atom once for the force.

    :param errors: system -> its errors.
    :param n_atoms: system -> atoms of a frame.
    :return: energy RMSE in eV/atom, force RMSE in eV/Å.
    """
    frames = np.array([e.n_frames for e in errors.values()], dtype=float)
    atoms = frames * np.array([n_atoms[name] for name in errors], dtype=float)
    energy = np.array([e.energy_rmse for e in errors.values()])
    force = np.array([e.force_rmse for e in errors.values()])
    return float(np.sqrt(np.average(energy**2, weights=frames))), float(np.sqrt(np.average(force**2, weights=atoms)))


def force_rmse_per_element(table: FloatArray, forces: FloatArray, symbols: Sequence[str]) -> dict[str, float]:
    """Force error of each element, eV/Å: which chemistry the potential has not understood.

    :param table: (n_rows, 6) of ``detail.f.out``, a row for each atom of each frame.
    :param forces: (n_rows, 3) the reference forces, eV/Å, which the rows must repeat.
    :param symbols: element of each row, (n_rows,).
    :raises DeepmdOutputError: if the rows belong to other frames.
    """
    if table.shape != (len(symbols), 6) or forces.shape != (len(symbols), 3):
        raise DeepmdOutputError(f'the details of the test have the shape {table.shape}, not ({len(symbols)}, 6)')
    if not np.allclose(table[:, :3], forces, rtol=1e-4, atol=1e-3):
        raise DeepmdOutputError('the details of the test do not repeat the reference forces of the datasets')
    elements = np.array(symbols)
    squares = (table[:, 3:] - table[:, :3]) ** 2
    return {element: float(np.sqrt(squares[elements == element].mean())) for element in sorted(set(symbols))}
