"""DeePMD-kit's output read, as plain functions on text.

Written against DeePMD-kit 3.2. Its backends share the tests, the errors and most lines of a training; where they
differ, either is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class DeepmdOutputError(ValueError):
    """A file written by DeePMD-kit is not what it should be."""


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

    A training that goes on from a checkpoint appends to the file, also the steps that were done after that checkpoint
    before it was killed. The later row of a step is that of the potential which went on, so it holds.

    Where fixed atoms are masked, DeePMD-kit calls the force error ``rmse_pf``; it is ``rmse_f`` here too, so that
    nobody need ask. It is a mean over all atoms in which a fixed one counts as without error.

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
                row = [float(word) for word in words]
            except ValueError:
                break
            while rows and rows[-1][0] >= row[0]:
                rows.pop()
            rows.append(row)
    if not names:
        raise DeepmdOutputError("the learning curve has no header line that starts with '# step'")
    if not rows:
        raise DeepmdOutputError('the learning curve has no complete row')
    table = np.array(rows)
    names = [f'{name}_trn' if re.fullmatch(r'rmse(_[a-z]+)?(?<!_val)(?<!_trn)', name) else name for name in names]
    if not any(name.startswith('rmse_f_') for name in names):
        names = [name.replace('rmse_pf_', 'rmse_f_') for name in names]
    return LearningCurve({name: table[:, i] for i, name in enumerate(names)})


@dataclass(frozen=True)
class TrainLog:
    """What the output of ``dp train`` tells.

    :param finished: whether the training reached its last step.
    :param version: version of DeePMD-kit, empty if not printed yet.
    :param n_steps: last step reported, 0 if none.
    :param checkpoint_step: step of the last checkpoint, as far as steps are reported; None if there is no checkpoint.
    :param wall_seconds: time of the training loop, s; None if it did not finish.
    :param seconds_per_step: s; None if not reported.
    :param error: last line of a Python traceback, None if there was none.
    :param nan_step: step at which DeePMD-kit saw a NaN and gave up, None if it did not.
    :param warnings: warnings of DeePMD-kit, each once.
    """

    finished: bool
    version: str = ''
    n_steps: int = 0
    checkpoint_step: int | None = None
    wall_seconds: float | None = None
    seconds_per_step: float | None = None
    error: str | None = None
    nan_step: int | None = None
    warnings: list[str] = field(default_factory=list)


#: What TensorFlow and PyTorch say at the end of a training.
_FINISHED = ('finished training', 'Trained model has been saved to')
_IGNORED_WARNINGS = ('DP_INFER_BATCH_SIZE', 'OMP_NUM_THREADS', 'INTRA_OP_PARALLELISM', 'INTER_OP_PARALLELISM')


def parse_train_log(text: str) -> TrainLog:
    """Read the joined output of ``dp train``.

    :param text: content of the file, possibly cut off anywhere.
    """
    version = re.search(r'DEEPMD INFO\s+Source:\s+v?(\S+)', text)
    wall = re.findall(r'DEEPMD INFO\s+wall time: ([\d.]+) s', text)
    intervals = re.findall(r'DEEPMD INFO\s+Batch\s+\d+: total wall time = ([\d.]+) s', text)  # since the last such line
    per_step = re.search(r'average training time: ([\d.]+) s/batch', text)
    steps = re.findall(r'DEEPMD INFO\s+Batch\s+(\d+):', text)
    saved = max(text.rfind(f'DEEPMD INFO    {words}') for words in ('saved checkpoint', 'Saved model to'))
    steps_saved = re.findall(r'DEEPMD INFO\s+Batch\s+(\d+):', text[:saved]) if saved >= 0 else []
    nan = re.search(r'NaN detected at batch\s+(\d+)', text)
    found = re.findall(r'DEEPMD WARNING\s+(.+)', text)
    warnings = [w.strip() for w in dict.fromkeys(found) if not any(word in w for word in _IGNORED_WARNINGS)]
    finished = any(words in text for words in _FINISHED)
    return TrainLog(
        finished=finished,
        version=version.group(1) if version else '',
        n_steps=int(steps[-1]) if steps else 0,
        checkpoint_step=int(steps_saved[-1]) if steps_saved else None,
        wall_seconds=sum(map(float, wall or intervals)) if finished else None,
        seconds_per_step=float(per_step.group(1)) if per_step else None,
        error=find_error(text),
        nan_step=int(nan.group(1)) if nan else None,
        warnings=warnings,
    )


def name_types(warning: str, type_map: Sequence[str]) -> str:
    """Put the element behind the number of a type, which is all that DeePMD-kit's warnings say of it.

    :param warning: a warning of DeePMD-kit.
    :param type_map: element of each type.
    """

    def with_element(match: re.Match[str]) -> str:
        number = int(match.group(1))
        return f'{match.group(0)} ({type_map[number]})' if number < len(type_map) else match.group(0)

    return re.sub(r'\bof type (\d+)', with_element, warning)


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


#: A number with the unit behind it: one that was cut off lacks that.
_ERROR = r'([-+]?\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf) eV'
_TEST_LINES = {
    'n_frames': r'number of test data : (\d{1,15})\b',
    'energy_mae': rf'Energy MAE/Natoms\s+: {_ERROR}',
    'energy_rmse': rf'Energy RMSE/Natoms\s+: {_ERROR}',
    'force_mae': rf'Force\s+MAE\s+: {_ERROR}',
    'force_rmse': rf'Force\s+RMSE\s+: {_ERROR}',
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


def replace_force_errors(errors: SystemErrors, differences: FloatArray) -> SystemErrors:
    """The errors of a system with the force errors of its free atoms in place of those of all.

    :param errors: what ``dp test`` reports, fixed atoms included.
    :param differences: (n_frames, n_free, 3) prediction minus reference, eV/Å.
    """
    rmse, mae = float(np.sqrt((differences**2).mean())), float(np.abs(differences).mean())
    return replace(errors, force_rmse=rmse, force_mae=mae)


def parse_detail(text: str) -> FloatArray:
    """Read a detail file of ``dp test -d``: reference beside prediction.

    The systems follow each other in the order they were tested in; DeePMD-kit 3.2 names only the first.

    :param text: content of ``detail.f.out``, ``detail.e.out`` and the like.
    :return: (n_rows, n_columns); the first half of the columns is the reference.
    :raises DeepmdOutputError: if the rows are not a table of numbers.
    """
    try:
        # A last line without its end may be half a number.
        whole = text[: text.rfind('\n') + 1]
        rows = [[float(word) for word in line.split()] for line in whole.splitlines() if not line.startswith('#')]
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


def split_detail(
    table: FloatArray, forces: Mapping[str, FloatArray], free: Mapping[str, NDArray[np.bool_]]
) -> dict[str, FloatArray]:
    """Force errors of each system, without its fixed atoms.

    :param table: (n_rows, 6) of ``detail.f.out``, a row for each atom of each frame.
    :param forces: system -> (n_frames, n_atoms, 3) reference forces, eV/Å, which the rows must repeat, in that order.
    :param free: system -> (n_atoms,) whether the atom's force counts.
    :return: system -> (n_frames, n_free, 3) prediction minus reference, eV/Å.
    :raises DeepmdOutputError: if the rows belong to other frames.
    """
    n_rows = sum(array.shape[0] * array.shape[1] for array in forces.values())
    if table.shape != (n_rows, 6):
        raise DeepmdOutputError(f'the details of the test have the shape {table.shape}, not ({n_rows}, 6)')
    errors, start = {}, 0
    for system, reference in forces.items():
        rows = table[start : start + reference.shape[0] * reference.shape[1]].reshape(*reference.shape[:2], 6)
        start += reference.shape[0] * reference.shape[1]
        if not np.allclose(rows[..., :3], reference, rtol=1e-4, atol=1e-3):
            raise DeepmdOutputError('the details of the test do not repeat the reference forces of the datasets')
        errors[system] = (rows[..., 3:] - rows[..., :3])[:, free[system]]
    return errors


def split_energies(table: FloatArray, n_frames: Mapping[str, int]) -> dict[str, FloatArray]:
    """Predicted total energies of each system.

    :param table: (n_rows, 2) of ``detail.e.out``, a row for each frame: reference and prediction, eV.
    :param n_frames: system -> its frames, in the order they were tested in.
    :return: system -> (n_frames,) prediction, eV.
    :raises DeepmdOutputError: if the rows are not one for each frame.
    """
    if table.shape != (sum(n_frames.values()), 2):
        raise DeepmdOutputError(
            f'the energies of the test have the shape {table.shape}, not ({sum(n_frames.values())}, 2)'
        )
    energies, start = {}, 0
    for system, number in n_frames.items():
        energies[system] = table[start : start + number, 1]
        start += number
    return energies


def force_rmse_per_element(errors: Mapping[str, FloatArray], symbols: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Force error of each element, eV/Å: which chemistry the potential has not understood.

    :param errors: system -> (n_frames, n_free, 3) prediction minus reference, eV/Å.
    :param symbols: system -> element of each of its free atoms, (n_free,).
    """
    squares: dict[str, list[FloatArray]] = {}
    for system, error in errors.items():
        elements = np.array(symbols[system])
        for element in set(symbols[system]):
            squares.setdefault(element, []).append((error[:, elements == element] ** 2).ravel())
    return {element: float(np.sqrt(np.concatenate(squares[element]).mean())) for element in sorted(squares)}
