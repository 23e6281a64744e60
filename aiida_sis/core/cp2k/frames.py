"""AIMD that was made with CP2K by hand: the files of a run brought together, each frame with its own labels."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aiida_deepmd.arrays import BoolArray, FloatArray, IntArray
from aiida_deepmd.frames import Frames
from aiida_deepmd.read_frames.system import Hints, ReadError, System, as_elements
from aiida_deepmd.units import HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM, HARTREE_TO_EV
from aiida_sis.core.cp2k import output as cp2k_output
from aiida_sis.core.cp2k.input_facts import InputFacts, read_input

# What a reader of aiida_deepmd says of itself.
PROGRAM, MARK, REPLACES = 'CP2K', 'PROJECT-pos-1.xyz', ('cp2k/aimd_output',)

#: Endings of the files beside the trajectory of a run.
_BESIDE = ('.inp', '.out', '.log', '.restart', '.ener', '.cell')
_TRAJECTORY = re.compile(r'(?P<project>.+)-(?P<kind>pos|frc)-(?P<number>\d+)\.xyz')
_COMMENT = re.compile(r'\s*i =\s*\d+.*E =')
#: Å by which two cells of one step may differ: the last digit that CP2K writes.
_SAME_CELL = 1.0e-6
#: Texts longer than this are no input and their beginning says whether they are an output.
_BEGINNING = 1 << 16
_LONGEST_INPUT = 1 << 24
_NUMBER = r'[-+]?\d+\.\d+(?:[ED][-+]?\d+)?'


@dataclass(frozen=True)
class _Run:
    """The files of one run.

    :param positions: ``PROJECT-pos-1.xyz``.
    :param project: what the names of its files begin with.
    :param number: what they end with.
    """

    positions: Path
    project: str
    number: str

    def file(self, kind: str) -> Path | None:
        """A file of the run by what its name has between the project and the number."""
        names = {'frc': f'{self.project}-frc-{self.number}.xyz', 'cell': f'{self.project}-{self.number}.cell'}
        path = self.positions.with_name(names[kind])
        return path if path.exists() else None


def is_run(path: Path) -> bool:
    """Tell whether a file is a trajectory of CP2K's, by its name and its first lines.

    :param path: a file.
    """
    if not _TRAJECTORY.fullmatch(path.name):
        return False
    with path.open(errors='replace') as handle:
        beginning = [handle.readline() for _ in range(2)]
    return bool(_COMMENT.match(beginning[1]))


def is_beside_run(path: Path) -> bool:
    """Tell whether a file is one of a run of CP2K's, but not its trajectory.

    :param path: a file.
    """
    return path.suffix in _BESIDE and any(is_run(one) for one in path.parent.glob('*-pos-*.xyz'))


def find_runs(path: Path) -> list[Path]:
    """Files of positions at or below a path, sorted.

    :param path: a folder, or a file of positions or forces.
    """
    if path.is_dir():
        return sorted(one for one in path.rglob('*-pos-*.xyz') if is_run(one))
    found = _TRAJECTORY.fullmatch(path.name)
    positions = path.with_name(f'{found["project"]}-pos-{found["number"]}.xyz') if found else path
    return [positions] if found and positions.exists() else []


def read_runs(path: Path, hints: Hints) -> list[System]:
    """Read every run of CP2K at or below a folder, or the one that a file belongs to.

    :param path: a folder, or a file of positions or forces.
    :param hints: elements of kinds whose names do not say it.
    :raises ReadError: if there is none, or the cell or the units of one are not known.
    """
    found = find_runs(path)
    if not found:
        raise ReadError(
            f"'{path}' has no {MARK} of CP2K: give the folder of a run with {MARK}, PROJECT-frc-1.xyz (or the "
            'forces in the output) and PROJECT-1.cell (or the restart file or the input).'
        )
    systems = []
    for positions in found:
        match = _TRAJECTORY.fullmatch(positions.name)
        assert match is not None  # it was found by that name
        run = _Run(positions, match['project'], match['number'])
        name = ''
        if path.is_dir() and len(found) > 1:
            name = str((positions.parent / run.project).relative_to(path))
            name += '' if run.number == '1' else f'-{run.number}'
        systems.append(_read(run, name, hints))
    return systems


def _read(run: _Run, name: str, hints: Hints) -> System:
    """One run."""
    inputs, outputs = _beside(run)
    facts = {file: _facts(file) for file in inputs}
    facts = {file: fact for file, fact in facts.items() if fact.project == run.project or '$' in fact.project}
    for file, fact in facts.items():
        if fact.foreign_units:
            raise ReadError(
                f"'{file}' asks for the {' and the '.join(fact.foreign_units)}, but only positions in angstrom and "
                'forces in hartree*bohr^-1, which CP2K writes without a UNIT, are read: run it without one.'
            )
    text = '\n'.join(file.read_text(errors='replace') for file in outputs)
    coordinates = cp2k_output.read_xyz(run.positions.read_text(errors='replace'))
    n_frames = len(coordinates.steps)
    if n_frames == 0:
        raise ReadError(f"'{run.positions}' has no whole frame.")
    forces, read, notes = _forces(run, coordinates, text, outputs)
    energies, converged = cp2k_output.read_evaluations(text)
    cells, more = _cells(run, coordinates.steps, facts, text)
    periodic = all(fact.periodic for fact in facts.values()) and not re.search(r'CELL\| Periodicity +(?!XYZ)\S', text)
    if not periodic:
        cells = np.full((n_frames, 3, 3), np.nan)
        notes.append('The run was not periodic in three directions.')
    elements, told = as_elements(coordinates.symbols, hints, str(run.positions))
    frames = Frames(
        coords=coordinates.values,
        cells=cells,
        energies=coordinates.energies * HARTREE_TO_EV,
        forces=forces * HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM,
    )
    flaws = {
        'incomplete': np.isnan(forces).all(axis=(1, 2)),
        'no_cell': np.isnan(cells).all(axis=(1, 2)),
        'unconverged': cp2k_output.close_to_any(coordinates.energies, energies[~converged]),
        'duplicate': _computed_again(coordinates.steps),
    }
    return System(
        name,
        frames,
        [elements[symbol] for symbol in coordinates.symbols],
        tuple(dict.fromkeys([run.positions, *read, *more, *outputs])),
        {reason: tuple(int(i) for i in np.flatnonzero(bad)) for reason, bad in flaws.items() if bad.any()},
        (*told, *notes, *_coverage(coordinates.energies, energies)),
    )


def _facts(file: Path) -> InputFacts:
    """What an input says, with its name in the sentence if it can't be used."""
    try:
        return read_input(file.read_text(errors='replace'))
    except ReadError as error:
        raise ReadError(f"'{file}': {error}") from error


def _beside(run: _Run) -> tuple[list[Path], list[Path]]:
    """Inputs and outputs in the folder of a run, whatever they are called; the restart file is the first input."""
    restart = run.positions.with_name(f'{run.project}-{run.number}.restart')
    inputs, outputs = [restart] if restart.exists() else [], []
    for file in sorted(run.positions.parent.iterdir()):
        if not file.is_file() or '.restart' in file.name or _TRAJECTORY.fullmatch(file.name):
            continue
        with file.open('rb') as handle:
            beginning = handle.read(_BEGINNING)
        if b'\0' in beginning:
            continue
        head = beginning.decode(errors='replace')
        project = re.search(r'GLOBAL\| Project name +(\S+)', head)
        if project[1] == run.project if project else 'ENERGY| Total FORCE_EVAL' in head:
            outputs.append(file)
        elif re.search(r'^\s*&(GLOBAL|FORCE_EVAL)\b', head, flags=re.M | re.I) and file.stat().st_size < _LONGEST_INPUT:
            inputs.append(file)
    return inputs, outputs


def _forces(
    run: _Run, coordinates: cp2k_output.XyzFrames, text: str, outputs: list[Path]
) -> tuple[FloatArray, list[Path], list[str]]:
    """Forces of each frame in hartree/bohr, NaN where none belong to it; by step and energy, which both files have."""
    n_frames, n_atoms = coordinates.values.shape[:2]
    forces = np.full((n_frames, n_atoms, 3), np.nan)
    file = run.file('frc')
    if file is not None:
        rows = file.read_text(errors='replace')
        given = cp2k_output.read_xyz(rows)
        if given.values.shape[1] not in (0, n_atoms):
            raise ReadError(f"'{file}' has {given.values.shape[1]} atoms, but '{run.positions}' has {n_atoms}.")
        if given.symbols != coordinates.symbols:
            given = cp2k_output.read_xyz(rows, coordinates.symbols)
        places: dict[tuple[int, str], list[int]] = defaultdict(list)
        for number, (step, energy) in enumerate(zip(given.steps, given.energies, strict=True)):
            places[int(step), repr(float(energy))].append(number)
        for number, (step, energy) in enumerate(zip(coordinates.steps, coordinates.energies, strict=True)):
            if same := places[int(step), repr(float(energy))]:
                forces[number] = given.values[same.pop(0) if len(same) > 1 else same[0]]
        return forces, [file], []
    energies, printed = _printed_forces(text, n_atoms)
    for number, energy in enumerate(coordinates.energies):
        near = np.flatnonzero(np.abs(energies - energy) < cp2k_output.SAME_ENERGY)
        if len(near):
            forces[number] = printed[near[-1]]
    found = f'{run.project}-frc-{run.number}.xyz is not there'
    if not outputs or not len(energies):
        return forces, [], [f'{found}, and no output with forces is: print them, &MOTION &PRINT &FORCES.']
    return forces, [], [f'{found}: the forces are those of the output ({", ".join(file.name for file in outputs)}).']


def _printed_forces(text: str, n_atoms: int) -> tuple[FloatArray, FloatArray]:
    """Energies in hartree and forces in hartree/bohr that an output has, in the form of 2023.1 or of 2025.1."""
    energies, forces = [], []
    for block in re.split(r'(?=ENERGY\| Total FORCE_EVAL \([^)\n]*\) energy )', text)[1:]:
        energy = re.match(r'ENERGY\|[^\n]*[\])]:?\s+(\S+)', block)
        table = re.search(r'(?:ATOMIC FORCES in \[a\.u\.\]|FORCES\| Atomic forces \[hartree/bohr\])\n(.*)', block, re.S)
        if not energy or not table:
            continue
        row = rf'^ *(?:FORCES\| +\d+|\d+ +\d+ +\S+) +({_NUMBER}) +({_NUMBER}) +({_NUMBER})'
        rows = re.findall(row, table[1], flags=re.M)[:n_atoms]
        if len(rows) == n_atoms:
            energies.append(float(energy[1]))
            forces.append([[float(word) for word in words] for words in rows])
    return np.array(energies), np.array(forces).reshape(len(energies), n_atoms, 3)


def _cells(run: _Run, steps: IntArray, facts: dict[Path, InputFacts], text: str) -> tuple[FloatArray, list[Path]]:
    """The cell of each frame: of the file of cells, else the one of the restart file or the input, if it is fixed."""
    file = run.file('cell')
    if file is not None:
        lines = file.read_text(errors='replace').splitlines(keepends=True)
        if lines and lines[0].startswith('#') and '[Angstrom]' not in lines[0]:
            raise ReadError(f"'{file}' is not in Å: its first line says {lines[0].strip()}.")
        cell_steps, values = cp2k_output.read_cells(''.join(lines))
        cells = np.full((len(steps), 3, 3), np.nan)
        for step in np.unique(steps):
            here, there = np.flatnonzero(steps == step), np.flatnonzero(cell_steps == step)
            if len(here) == len(there):
                cells[here] = values[there]
            elif len(there) and np.ptp(values[there], axis=0).max() < _SAME_CELL:
                cells[here] = values[there[0]]
        return cells, [file, *facts]
    moving = any(fact.moving_cell for fact in facts.values()) or re.search(r'Ensemble type +(NP|MSST|HYDRO)', text)
    known = {source: fact.cell for source, fact in facts.items() if fact.cell is not None}
    missing = f"'{run.positions}' has no {run.project}-{run.number}.cell beside it"
    if moving:
        raise ReadError(f'{missing}, and the cell changed during the run: print it, &MOTION &PRINT &CELL.')
    if not known:
        raise ReadError(
            f'{missing}, and no restart file or input of project {run.project} with the cell in numbers: put '
            f'{run.project}-{run.number}.restart or the input into the folder.'
        )
    cell = next(iter(known.values()))
    if any(np.abs(other - cell).max() > _SAME_CELL for other in known.values()):
        names = ' and '.join(file.name for file in known)
        raise ReadError(f'{missing}, and {names} have different cells: leave the right one in the folder.')
    return np.tile(cell, (len(steps), 1, 1)), list(facts)


def _computed_again(steps: IntArray) -> BoolArray:
    """Mark the steps that a restart computed again; a run that begins anew behind another has steps of its own."""
    again = np.zeros(len(steps), dtype=bool)
    first = 0
    for number in range(1, len(steps)):
        if steps[number] > steps[number - 1]:
            continue
        if steps[number] > steps[first]:
            again[first:number] |= steps[first:number] >= steps[number]
        else:
            first = number
    return again


def _coverage(energies: FloatArray, computed: FloatArray) -> list[str]:
    """Say for how many frames no output tells whether their SCF converged."""
    n_unknown = int((~cp2k_output.close_to_any(energies, computed)).sum())
    if not n_unknown:
        return []
    return [
        f'No output of CP2K is there for {n_unknown} of {len(energies)} frames, so whether their SCF converged is not '
        'known.'
    ]
