"""Input of LAMMPS: the script of a dynamics that stops itself, and the structure it starts from.

The molecular dynamics is stopped at the window's edge by ``fix halt`` on every step, so that no step is wasted past the
catastrophic point. The condition is written so that it is false for a temperature that is not a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.elements import check_elements
from aiida_sis.core.lammps.deviation import CANDIDATES_FILENAME, DEVIATION_FILENAME
from aiida_sis.core.lammps.nearness import write_counts, write_near_halt
from aiida_sis.core.settings.md import MdSettings

INPUT_FILENAME = 'input.lmp'
DATA_FILENAME = 'structure.data'
LOG_FILENAME = 'log.lammps'
TRAJECTORY_FILENAME = 'trajectory.lammpstrj'
FINAL_FILENAME = 'final.lammpstrj'
RING_FOLDER = 'ring'
RING_PREFIX = 'snap.'

BEGIN_MARK = 'SIS_BEGIN_MD'
FINAL_MARK = 'SIS_FINAL'
BAD_START_MARK = 'SIS_BAD_START'
FINAL_KEYWORDS = ('step', 'temp', 'pe', 'etotal', 'econserve', 'fmax')
"""Quantities of the very last step, which LAMMPS leaves out of its table when it halts between two of its rows."""

MAX_SEED = 900_000_000
_FINITE = '(pe >= -1.0e300) && (pe <= 1.0e300)'
_COLUMNS = 'id type xu yu zu vx vy vz fx fy fz'


@dataclass(frozen=True)
class LammpsCell:
    """A cell as LAMMPS wants it: the first vector along x, the second in the xy plane.

    :param cell: Lower triangular rows, shape ``(3, 3)``, in Å.
    :param rotation: Matrix, shape ``(3, 3)``, with ``vector_in_lammps = vector @ rotation``.
    """

    cell: FloatArray
    rotation: FloatArray

    @classmethod
    def from_cell(cls, cell: FloatArray) -> LammpsCell:
        """Rotate any cell. One that has the right form already is left as it is, bit by bit.

        :param cell: Cell vectors as rows, shape ``(3, 3)``, in Å.
        :return: The cell and the rotation.
        :raises ValueError: If the cell has no volume.
        """
        cell = np.asarray(cell, dtype=np.float64)
        if abs(float(np.linalg.det(cell))) < 1e-6:
            raise ValueError('the structure has no cell volume; LAMMPS needs three independent cell vectors.')
        if np.all(np.triu(cell, 1) == 0) and np.all(np.diag(cell) > 0):
            return cls(cell, np.eye(3))
        orthogonal, upper = np.linalg.qr(cell.T)
        signs = np.sign(np.diag(upper))
        return cls(np.tril((signs[:, None] * upper).T), orthogonal * signs)

    def to_lammps(self, vectors: FloatArray) -> FloatArray:
        """Rotate positions, velocities or forces into the frame of LAMMPS.

        :param vectors: Shape ``(n, 3)``.
        :return: Shape ``(n, 3)``.
        """
        return self._apply(vectors, self.rotation)

    def from_lammps(self, vectors: FloatArray) -> FloatArray:
        """Rotate positions, velocities, forces or cell vectors back into the frame of the structure.

        :param vectors: Shape ``(n, 3)``.
        :return: Shape ``(n, 3)``.
        """
        return self._apply(vectors, self.rotation.T)

    def _apply(self, vectors: FloatArray, rotation: FloatArray) -> FloatArray:
        """Multiply, but keep every bit where there is nothing to rotate.

        :param vectors: Shape ``(n, 3)``.
        :param rotation: Shape ``(3, 3)``.
        :return: Shape ``(n, 3)``.
        """
        vectors = np.asarray(vectors, dtype=np.float64)
        return vectors if np.array_equal(rotation, np.eye(3)) else vectors @ rotation


def write_data(
    symbols: Sequence[str],
    positions: FloatArray,
    cell: FloatArray,
    type_map: Sequence[str],
    velocities: FloatArray | None = None,
) -> str:
    """Write the structure, each number so that it reads back to the same bits.

    A stored ``StructureData`` has cut its positions and its cell to 14 digits before; velocities are whole. So a
    dynamics that goes on from a stored snapshot starts 1e-13 Å from where it was.

    :param symbols: Chemical symbols of the atoms, shape ``(n,)``.
    :param positions: Shape ``(n, 3)``, in Å.
    :param cell: Cell vectors as rows, shape ``(3, 3)``, in Å.
    :param type_map: Element of each atom type of the potential, in its order.
    :param velocities: Shape ``(n, 3)``, in Å/ps, where there are any.
    :return: Text of a data file.
    :raises ValueError: If an element is not in the type map, or the cell has no volume.
    """
    check_elements(type_map)
    unknown = sorted(set(symbols) - set(type_map))
    if unknown:
        raise ValueError(f'the potential knows {", ".join(type_map)}, but the structure has {", ".join(unknown)} too.')
    frame = LammpsCell.from_cell(cell)
    box = frame.cell
    lines = ['Written by aiida-sis', '', f'{len(symbols)} atoms', f'{len(type_map)} atom types', '']
    lines += [f'0.0 {float(box[axis, axis])!r} {name}lo {name}hi' for axis, name in enumerate('xyz')]
    if box[1, 0] or box[2, 0] or box[2, 1]:
        lines.append(f'{_join((box[1, 0], box[2, 0], box[2, 1]))} xy xz yz')
    lines += ['', 'Masses', '']
    lines += [
        f'{index} {float(atomic_masses[atomic_numbers[element]])!r}  # {element}'
        for index, element in enumerate(type_map, 1)
    ]
    types = {element: index for index, element in enumerate(type_map, 1)}
    lines += ['', 'Atoms  # atomic', '']
    rotated = frame.to_lammps(positions)
    lines += [f'{i} {types[s]} {_join(row)}' for i, (s, row) in enumerate(zip(symbols, rotated, strict=True), 1)]
    if velocities is not None:
        lines += ['', 'Velocities', '']
        rotated = frame.to_lammps(velocities)
        lines += [f'{i} {_join(row)}' for i, (_, row) in enumerate(zip(symbols, rotated, strict=True), 1)]
    return '\n'.join(lines) + '\n'


def write_script(
    settings: MdSettings,
    type_map: Sequence[str],
    model_filename: str,
    seed: int,
    given_temperature: float | None = None,
    timeout_seconds: int | None = None,
    committee_filenames: Sequence[str] = (),
) -> str:
    """Write the script of one watched dynamics.

    :param settings: What to do.
    :param type_map: Element of each atom type of the potential, in its order.
    :param model_filename: Name of the potential's file in the working directory.
    :param seed: Seed of the velocities and of the thermostat.
    :param given_temperature: Temperature in K of the velocities in the data file; nothing: velocities are drawn.
    :param timeout_seconds: Time after which LAMMPS ends the dynamics in good order, before the scheduler kills it.
    :param committee_filenames: Names of the other models of a committee; they are asked in the dynamics only.
    :return: Text of the script.
    """
    lines = [
        'units metal',
        'atom_style atomic',
        'atom_modify map yes',
        'boundary p p p',
        f'read_data {DATA_FILENAME}',
        *_pair([model_filename], type_map),
        *_groups(settings),
        *_thermo(settings),
        *_check_start(),
    ]
    if timeout_seconds is not None:
        lines.append(f'timer timeout {timeout_seconds} every 10')
    if given_temperature is None:
        lines += _start(settings, seed)
    elif settings.fixed_atoms:
        lines.append('velocity sis_fixed set 0.0 0.0 0.0')
    lines += write_counts(settings, type_map)
    if settings.deviation is not None:
        lines += _pair([model_filename, *committee_filenames], type_map, settings)
    lines += [
        f'print "{BEGIN_MARK}"',
        f'reset_timestep {settings.first_step}',
        f'timestep {settings.timestep_fs * 1e-3:.12g}',
        *_ensemble(settings, seed),
        *_halt(settings, given_temperature),
        *write_near_halt(settings),
        *_dumps(settings),
        f'run {settings.n_steps - settings.first_step}',
        # The values of the halting step; a plain `$(press)` would be an error there, as it was not computed.
        f'print "{FINAL_MARK} {" ".join(f"$({keyword}:%.12g)" for keyword in FINAL_KEYWORDS)}"',
        f'write_dump all custom {FINAL_FILENAME} {_COLUMNS} modify sort id format float %.17g',
    ]
    return '\n'.join(lines) + '\n'


def _join(row: Sequence[float] | FloatArray) -> str:
    """Write numbers so that they read back to the same bits.

    :param row: Numbers.
    :return: Text.
    """
    return ' '.join(repr(float(value)) for value in row)


def _pair(filenames: Sequence[str], type_map: Sequence[str], settings: MdSettings | None = None) -> list[str]:
    """Write the potential. The first model drives; the others only tell how far they deviate from each other.

    :param filenames: Names of the models' files.
    :param type_map: Element of each atom type, in order.
    :param settings: What to do, where the deviation is asked for.
    :return: Lines.
    """
    check_elements(type_map)  # a line of its own could be any command of LAMMPS
    style = f'pair_style deepmd {" ".join(filenames)}'
    if settings is not None and settings.deviation is not None:
        style += f' out_file {DEVIATION_FILENAME} out_freq {settings.steps(settings.deviation.interval_fs)}'
    return [style, f'pair_coeff * * {" ".join(type_map)}']


def _groups(settings: MdSettings) -> list[str]:
    """Write the groups of fixed and mobile atoms, and the temperature of the latter.

    Beside fixed atoms nothing conserves the momentum of the mobile ones, so no degree of freedom is taken off.

    :param settings: What to do.
    :return: Lines, none where every atom moves.
    """
    if not settings.fixed_atoms:
        return []
    return [
        f'group sis_fixed id {" ".join(str(number + 1) for number in settings.fixed_atoms)}',
        'group sis_mobile subtract all sis_fixed',
        'compute sis_temp sis_mobile temp',
        'compute_modify sis_temp extra/dof 0',
    ]


def _thermo(settings: MdSettings) -> list[str]:
    """Write the table of the log; the shortest distance costs one pass over a neighbour list per row.

    :param settings: What to do.
    :return: Lines.
    """
    return [
        'compute sis_distances all pair/local dist',
        'compute sis_shortest all reduce min c_sis_distances inputs local',
        f'thermo {settings.steps(settings.thermo_interval_fs)}',
        'thermo_style custom step temp pe etotal press econserve fmax c_sis_shortest',
        # After thermo_style, which would reset it.
        f'thermo_modify lost error flush yes format float %.12g{" temp sis_temp" if settings.fixed_atoms else ""}',
    ]


def _check_start() -> list[str]:
    """Write a test of the start structure: the minimiser of LAMMPS never returns from an energy that is not a number.

    :return: Lines.
    """
    return [
        'run 0',
        f'variable sis_start equal "{_FINITE}"',
        f'if "${{sis_start}} == 0" then "print {BAD_START_MARK}" "quit 1"',
    ]


def _start(settings: MdSettings, seed: int) -> list[str]:
    """Write the minimisation and the draw of velocities.

    :param settings: What to do.
    :param seed: Seed of the velocities.
    :return: Lines.
    """
    lines = []
    if settings.minimise.enabled:
        own = settings.minimise
        lines.append(f'minimize {own.etol:g} {own.ftol:g} {own.maxiter} {10 * own.maxiter}')
        if settings.fixed_atoms:
            lines = ['fix sis_freeze sis_fixed setforce 0.0 0.0 0.0', *lines, 'unfix sis_freeze']
    start = settings.start_temperature(None)
    if settings.fixed_atoms:
        return [*lines, f'velocity sis_mobile create {start:.12g} {seed} mom no rot no dist gaussian temp sis_temp']
    return [*lines, f'velocity all create {start:.12g} {seed} mom yes rot yes dist gaussian']


def _ensemble(settings: MdSettings, seed: int) -> list[str]:
    """Write the integrator and the thermostat; stochastic rescaling does not integrate by itself.

    :param settings: What to do.
    :param seed: Seed of the thermostat.
    :return: Lines.
    """
    target = f'{settings.temperature_k:.12g} {settings.temperature_k:.12g}'
    constant = f'{settings.thermostat.time_constant_fs * 1e-3:.12g}'
    group = 'sis_mobile' if settings.fixed_atoms else 'all'
    if settings.thermostat.style == 'nose_hoover':
        name, lines = 'sis_nvt', [f'fix sis_nvt {group} nvt temp {target} {constant}']
    else:
        name, lines = 'sis_bath', [f'fix sis_nve {group} nve']
        if settings.thermostat.style == 'csvr':
            lines.append(f'fix sis_bath {group} temp/csvr {target} {constant} {seed}')
    if settings.fixed_atoms and settings.thermostat.style != 'none':
        lines.append(f'fix_modify {name} temp sis_temp')
    return lines


def _halt(settings: MdSettings, given_temperature: float | None) -> list[str]:
    """Write the watch: on every step, false for what is not a number, with a wide guard during the grace time.

    :param settings: What to do.
    :param given_temperature: Temperature in K of given velocities, if there are any.
    :return: Lines.
    """
    low, high = settings.window_k
    condition = f'(temp >= {low:.12g}) && (temp <= {high:.12g}) && {_FINITE}'
    grace = settings.grace(given_temperature)
    if grace > 0:
        guard = f'(step < {settings.steps(grace * 1e3)}) && (temp <= {settings.guard_k:.12g}) && {_FINITE}'
        condition = f'({guard}) || ({condition})'
    return [f'variable sis_ok equal "{condition}"', 'fix sis_halt all halt 1 v_sis_ok == 0 error soft message yes']


def _dumps(settings: MdSettings) -> list[str]:
    """Write the trajectory that is kept, the ring of the latest snapshots, and what a committee may choose from.

    :param settings: What to do.
    :return: Lines.
    """
    every = settings.steps(settings.trajectory_interval_ps * 1e3)
    ring = settings.steps(settings.ring_interval_fs)
    lines = [
        f'dump sis_trajectory all custom {every} {TRAJECTORY_FILENAME} {_COLUMNS}',
        'dump_modify sis_trajectory sort id flush yes format float %.17g',
        f'shell mkdir {RING_FOLDER}',
        f'dump sis_ring all custom {ring} {RING_FOLDER}/{RING_PREFIX}*.lammpstrj {_COLUMNS}',
        # A dynamics that goes on begins at any step: its first frame is in the ring whatever step that is.
        f'dump_modify sis_ring sort id first yes maxfiles {settings.ring_size} format float %.17g',
    ]
    if settings.deviation is not None:
        judged = settings.steps(settings.deviation.interval_fs)
        lines += [
            f'dump sis_candidates all custom {judged} {CANDIDATES_FILENAME} {_COLUMNS}',
            # Ten digits are enough to label a frame, and there are many.
            'dump_modify sis_candidates sort id flush yes format float %.10g',
        ]
    return lines
