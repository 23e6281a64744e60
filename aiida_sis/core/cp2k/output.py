"""Reading CP2K's own files, the truncated ones included: what was computed before a failure is worth keeping."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import numpy as np

from aiida_deepmd.arrays import BoolArray, FloatArray, IntArray

OUTPUT_FILE = 'aiida.out'
ENERGY_FILE = 'aiida-1.ener'
POSITION_FILE = 'aiida-pos-1.xyz'
FORCE_FILE = 'aiida-frc-1.xyz'
CELL_FILE = 'aiida-1.cell'
RESTART_FILE = 'aiida-1.restart'
#: The one before; CP2K may be killed while it writes the other.
EARLIER_RESTART_FILE = 'aiida-1.restart.bak-1'


@dataclass(frozen=True)
class EnergySeries:
    """What CP2K's `.ener` file holds, one entry a step.

    :param steps: step number.
    :param times_fs: time in fs.
    :param kinetic: kinetic energy in hartree.
    :param temperatures: temperature in K.
    :param potential: potential energy in hartree.
    :param conserved: conserved quantity in hartree.
    :param seconds: wall time of the step in s; the initial frame has 0.
    """

    steps: IntArray
    times_fs: FloatArray
    kinetic: FloatArray
    temperatures: FloatArray
    potential: FloatArray
    conserved: FloatArray
    seconds: FloatArray

    @property
    def seconds_per_step(self) -> float | None:
        """Median wall time of a step in s (the first one holds the start of the program), None without a step."""
        done = self.seconds[self.steps > 0]
        return float(np.median(done)) if done.size else None


def read_ener(text: str) -> EnergySeries:
    """Read CP2K's `.ener` file as far as its lines are whole.

    :param text: content of `PROJECT-1.ener`.
    :returns: the series, empty where the file has no whole line.
    """
    rows: list[list[float]] = []
    for line in text.splitlines(keepends=True):
        words = line.split()
        if line.startswith('#') or not line.endswith('\n') or len(words) < 7:
            continue
        # CP2K prints ******** where a number doesn't fit its field
        if _STEP.fullmatch(words[0]):
            rows.append([_number(word) for word in words[:7]])
    table = np.array(rows, dtype=float).reshape(-1, 7)
    return EnergySeries(table[:, 0].astype(np.int64), *(table[:, column].copy() for column in range(1, 7)))


_STEP = re.compile(r'\d{1,15}', re.A)
_NUMBER = re.compile(r'[-+]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][-+]?\d+)?|[-+]?(?:NaN|Inf(?:inity)?)', re.I)


def _number(word: str) -> float:
    """Read a number, NaN where the field overflowed or isn't one."""
    return float(word.upper().replace('D', 'E')) if _NUMBER.fullmatch(word) else float('nan')


@dataclass(frozen=True)
class XyzFrames:
    """Frames of one of CP2K's XYZ files (positions in Å, or forces in hartree/bohr).

    :param steps: step number of each frame (n_frames,).
    :param energies: potential energy in hartree (n_frames,).
    :param symbols: names of the atoms.
    :param values: (n_frames, n_atoms, 3).
    """

    steps: IntArray
    energies: FloatArray
    symbols: tuple[str, ...]
    values: FloatArray


_COMMENT = re.compile(r'\s*i =\s*(\d{1,15})\b.*E =\s*(\S+)')


def read_xyz(text: str, symbols: tuple[str, ...] | None = None) -> XyzFrames:
    """Read CP2K's trajectory in XYZ format as far as its frames are whole.

    A job that was killed leaves half a frame, a full disk a hole. A frame in which a row is lost, doubled or exchanged
    with one of another name is left out, since its numbers would go to the wrong atoms.

    :param text: content of `PROJECT-pos-1.xyz` or `PROJECT-frc-1.xyz`.
    :param symbols: names that the atoms must have, those that most of the frames have where they are not known.
    :returns: the frames.
    """
    lines = text.splitlines()
    if lines and not text.endswith('\n'):
        lines.pop()
    starts = [number - 1 for number, line in enumerate(lines) if number and _COMMENT.match(line)]
    counts = Counter(lines[first].strip() for first in starts)
    word = counts.most_common(1)[0][0] if counts else ''
    n_atoms = int(word) if word.isdecimal() else 0
    frames = []
    for first, end in itertools.pairwise([*starts, len(lines)]):
        rows = lines[first + 2 : end]
        if rows[n_atoms:] and rows[n_atoms].strip() == word:  # of a frame whose second line is lost
            rows = rows[:n_atoms]
        comment, atoms = _COMMENT.match(lines[first + 1]), [row.split() for row in rows]
        if comment and lines[first].strip() == word and len(atoms) == n_atoms and all(len(atom) == 4 for atom in atoms):
            frames.append((int(comment[1]), _number(comment[2]), atoms))
    names = Counter(tuple(atom[0] for atom in atoms) for _, _, atoms in frames)
    if symbols is None:
        symbols = names.most_common(1)[0][0] if names else ()
    frames = [frame for frame in frames if tuple(atom[0] for atom in frame[2]) == symbols]
    values = [[[_number(word) for word in atom[1:]] for atom in atoms] for _, _, atoms in frames]
    return XyzFrames(
        np.array([step for step, _, _ in frames], dtype=np.int64),
        np.array([energy for _, energy, _ in frames], dtype=float),
        symbols,
        np.array(values, dtype=float).reshape(len(frames), len(symbols), 3),
    )


def read_cells(text: str) -> tuple[IntArray, FloatArray]:
    """Read CP2K's `.cell` file as far as its lines are whole; a line in which a number can't be read is left out.

    :param text: content of `PROJECT-1.cell`.
    :returns: steps (n_frames,) and cells (n_frames, 3, 3) in Å.
    """
    steps, cells = [], []
    for line in text.splitlines(keepends=True):
        words = line.split()
        if not line.endswith('\n') or len(words) != 12 or not _STEP.fullmatch(words[0]):
            continue
        cell = [_number(word) for word in words[2:11]]
        if np.isfinite(cell).all():
            steps.append(int(words[0]))
            cells.append(cell)
    return np.array(steps, dtype=np.int64), np.array(cells, dtype=float).reshape(len(steps), 3, 3)


_EVALUATION = re.compile(
    r'(?P<failed>SCF (?:run NOT|not) converged(?!\. To continue))'
    # the unit is in round brackets up to 7.1, with a colon up to 2024.3; below it CP2K with SIRIUS has lines with a
    # `gap` and a `free energy`, which are no evaluations
    r'|^ *ENERGY\| Total FORCE_EVAL \([^)\n]*\) energy [\[(][^\])\n]*[\])]:?[ ]+(?P<energy>\S+)\n',
    flags=re.M,
)


def read_evaluations(text: str) -> tuple[FloatArray, BoolArray]:
    """Find every energy that CP2K computed and whether its SCF converged.

    CP2K only warns of one that did not: up to 2023.2 always, from 2024.1 on where `IGNORE_CONVERGENCE_FAILURE` is set
    or where its time was up. Otherwise it aborts then.

    :param text: CP2K's main output.
    :returns: energies in hartree, which tell them among the frames whatever the step is called, and whether the SCF
        converged, each (n_evaluations,).
    """
    energies: list[float] = []
    converged: list[bool] = []
    failed = False
    for found in _EVALUATION.finditer(text):
        if found['failed']:
            failed = True
            continue
        energies.append(_number(found['energy']))
        converged.append(not failed)
        failed = False
    return np.array(energies, dtype=float), np.array(converged, dtype=np.bool_)


def count_evaluations(text: str) -> int:
    """Count the energies and forces that CP2K computed, thrown away or not: the cost of a label.

    :param text: CP2K's main output.
    """
    return len(read_evaluations(text)[0])


_VERSION = re.compile(r'CP2K\| version string:\s+CP2K version (\S+)')


def read_version(text: str) -> str | None:
    """Find CP2K's version.

    :param text: CP2K's main output.
    :returns: such as `2025.1`, None where it stopped before it wrote it.
    """
    found = _VERSION.search(text)
    return found.group(1) if found else None


_CLOCK = re.compile(r'PROGRAM (STARTED|ENDED) AT\s+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)')


def wall_seconds(text: str) -> float | None:
    """Measure how long CP2K ran, its start included, by the clock in its own output.

    :param text: CP2K's main output.
    :returns: wall time in s, None where the run was killed before it wrote its end.
    """
    found = {name: datetime.fromisoformat(stamp) for name, stamp in _CLOCK.findall(text)}
    return (found['ENDED'] - found['STARTED']).total_seconds() if len(found) == 2 else None


@dataclass(frozen=True)
class AimdFrames:
    """Labelled frames as CP2K left them: only the steps that all of its files agree on.

    :param steps: step number (n_frames,).
    :param symbols: chemical symbols (n_atoms,).
    :param positions: Å (n_frames, n_atoms, 3).
    :param cells: Å (n_frames, 3, 3).
    :param energies: hartree (n_frames,).
    :param forces: hartree/bohr (n_frames, n_atoms, 3).
    :param converged: whether the SCF is known to have converged (n_frames,).
    :param known: whether the output tells of the SCF (n_frames,); after a kill it ends before the other files.
    """

    steps: IntArray
    symbols: tuple[str, ...]
    positions: FloatArray
    cells: FloatArray
    energies: FloatArray
    forces: FloatArray
    converged: BoolArray
    known: BoolArray

    def take(self, mask: BoolArray | IntArray) -> AimdFrames:
        """Keep the frames that `mask` (n_frames,) is true for, or those with the numbers in it, in that order."""
        kept = {name: values[mask] for name, values in vars(self).items() if name != 'symbols'}
        return replace(self, **kept)


def read_frames(positions: str, forces: str, cells: str, output: str) -> AimdFrames:
    """Bring the files of one CP2K job together: a job that was killed leaves them at different lengths.

    :param positions: content of `PROJECT-pos-1.xyz`.
    :param forces: content of `PROJECT-frc-1.xyz`.
    :param cells: content of `PROJECT-1.cell`.
    :param output: main output, which alone knows whether an SCF converged: a frame that it does not mention did not.
    :returns: the frames whose step is in all of them.
    """
    coordinates = read_xyz(positions)
    gradients = read_xyz(forces, coordinates.symbols)
    cell_steps, cell_values = read_cells(cells)
    common = np.intersect1d(np.intersect1d(coordinates.steps, gradients.steps), cell_steps)

    def rows(steps: IntArray) -> IntArray:
        return np.array([int(np.flatnonzero(steps == step)[-1]) for step in common], dtype=np.int64)

    here = rows(coordinates.steps)
    converged, known = find_scf(coordinates.energies[here], *read_evaluations(output))
    return AimdFrames(
        common,
        tuple(re.sub(r'\d+$', '', name) for name in coordinates.symbols),
        coordinates.values[here],
        cell_values[rows(cell_steps)],
        coordinates.energies[here],
        gradients.values[rows(gradients.steps)],
        converged,
        known,
    )


def find_scf(energies: FloatArray, computed: FloatArray, converged: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Find the SCF of each frame by its energy, since the output does not number them.

    :param energies: of the frames, hartree (n_frames,).
    :param computed: energies in the output, hartree (n_evaluations,).
    :param converged: whether their SCF converged (n_evaluations,).
    :returns: whether the SCF is known to have converged, and whether the output tells of it, each (n_frames,).
    """
    known = close_to_any(energies, computed)
    return known & ~close_to_any(energies, computed[~converged]), known


#: Two energies of one SCF, in hartree: CP2K writes ten digits after the point into its trajectories.
SAME_ENERGY = 1.0e-9
#: Largest difference of a coordinate in Å between a frame that was handed to CP2K and the same frame as it printed it.
SAME_FRAME = 1.0e-4


def match_frames(computed: AimdFrames, positions: FloatArray) -> IntArray:
    """Find out which of the frames handed to CP2K each computed one is: a label must never get to another frame.

    CP2K numbers the frames of a replay from 1; depending on its version it also prints the frame that it starts from.

    :param computed: what CP2K printed.
    :param positions: the frames handed to it, Å (n_frames, n_atoms, 3).
    :returns: the number of the frame handed over, from 0, or −1 where a computed frame is none of them, (n_computed,).
    """
    numbers = computed.steps - 1
    known = (numbers >= 0) & (numbers < len(positions))
    if computed.positions.shape[1:] != positions.shape[1:]:
        return np.full(len(numbers), -1, dtype=np.int64)
    shift = np.abs(computed.positions - positions[np.where(known, numbers, 0)]).max(axis=(1, 2), initial=0.0)
    return np.where(known & (shift < SAME_FRAME), numbers, -1).astype(np.int64)


def close_to_any(energies: FloatArray, others: FloatArray) -> BoolArray:
    """Tell which energies are among others, to the ten digits that a trajectory has after the point.

    :param energies: hartree (n_frames,).
    :param others: hartree (n_evaluations,).
    :returns: (n_frames,).
    """
    near: BoolArray = np.abs(energies[:, None] - others[None, :]) < SAME_ENERGY
    return np.asarray(near.any(axis=1), dtype=np.bool_)


def _superseded(parts: list[IntArray]) -> list[BoolArray]:
    """Mark in each part the steps that no later part computed again: a restart repeats the last steps before it."""
    keep = []
    for number, steps in enumerate(parts):
        later = [part[0] for part in parts[number + 1 :] if part.size]
        keep.append(steps < min(later) if later else np.ones(steps.shape, dtype=bool))
    return keep


def join_frames(parts: list[AimdFrames]) -> AimdFrames:
    """Join the frames of one AIMD that took several jobs.

    :param parts: the frames of the jobs, in their order; at least one.
    :returns: every step once, from the last job that computed it.
    """
    kept = [part.take(mask) for part, mask in zip(parts, _superseded([p.steps for p in parts]), strict=True)]
    kept = [part for part in kept if len(part.steps)] or parts[:1]
    return concatenate(kept)


def concatenate(parts: list[AimdFrames]) -> AimdFrames:
    """Put frames of the same atoms one after the other.

    :param parts: at least one.
    """
    names = [name for name in vars(parts[0]) if name != 'symbols']
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return replace(parts[0], **joined)


def join_replay(parts: list[AimdFrames], positions: FloatArray) -> AimdFrames:
    """Join the frames of one replay that took several jobs.

    A frame that the output does not mention counts as not computed: it is where a job that was killed is taken up.

    :param parts: the frames of the jobs, in their order; at least one.
    :param positions: the frames that were to be labelled, Å (n_frames, n_atoms, 3).
    :returns: every computed frame once, as the last job has it, under its number in `positions`, ascending.
    """
    known = [part.take(part.known) for part in parts]
    computed = concatenate([part for part in known if len(part.steps)] or known[:1])
    numbers = match_frames(computed, positions)
    last = {int(number): row for row, number in enumerate(numbers) if number >= 0}
    rows = np.array([last[number] for number in sorted(last)], dtype=np.int64)
    return replace(computed.take(rows), steps=numbers[rows])


def join_series(parts: list[EnergySeries]) -> EnergySeries:
    """Join the series of one AIMD that took several jobs.

    :param parts: the series of the jobs, in their order; at least one.
    :returns: every step once, from the last job that computed it.
    """
    masks = _superseded([part.steps for part in parts])
    columns = [
        np.concatenate([getattr(part, entry.name)[mask] for part, mask in zip(parts, masks, strict=True)])
        for entry in fields(EnergySeries)
    ]
    return EnergySeries(*columns)
