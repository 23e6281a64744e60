"""CP2K as the teacher: the sections that make an AIMD, an optimisation or single points out of a level of theory.

The user's dictionary is the level of theory (`FORCE_EVAL` and what belongs to it). This module adds the motion to it,
so that every label of a run is made by the same method, and refuses what CP2K would only refuse once it runs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.units import ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS, HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM
from aiida_sis.core.overlay import merge

Tree = dict[str, Any]

# GFN1-xTB is parametrised up to radon, with one set for all lanthanides (CP2K's data file xTB_parameters).
GFN1_XTB_ELEMENTS = frozenset(chemical_symbols[1:87])
# aiida-cp2k writes the frames of its input `trajectory` under these names.
REPLAY_POSITION_FILE, REPLAY_CELL_FILE = 'aiida-reftraj.xyz', 'aiida-reftraj.cell'
# Under this name a job finds the restart file of the job whose AIMD it continues.
CONTINUED_FROM = 'aiida-continued.restart'
# First step of the orbital transformation in a second try. CP2K's own is 0.15 (0.08 with some preconditioners).
CAREFUL_STEP = 0.03
#: The mixing of a diagonalisation whose SCF has gone astray, and the error below which DIIS sets in.
CAREFUL_MIXING, CAREFUL_DIIS = 0.05, 0.01
BASIS_METHODS = ('GPW', 'GAPW', 'GAPW_XC', 'LRIGPW', 'RIGPW')


# ------------------------------------------------------------------------------------------------------------- input


def aimd_input(
    level_of_theory: Mapping[str, Any],
    *,
    n_steps: int,
    timestep_fs: float,
    temperature_k: float,
    time_constant_fs: float,
    seed: int,
    velocities: FloatArray | None = None,
    walltime_s: float | None = None,
    fixed_atoms: Sequence[int] = (),
) -> Tree:
    """Make the NVT run (CSVR thermostat) that labels a structure, with every frame, force and cell on disk.

    The restart file is written at every step: aiida-cp2k reads the trajectory of a failed run only if there is one.

    :param level_of_theory: CP2K input tree with at least `FORCE_EVAL`.
    :param n_steps: number of MD steps; CP2K prints one frame more, the initial one.
    :param timestep_fs: timestep in fs.
    :param temperature_k: temperature of the thermostat, and of the initial velocities where none are given, in K.
    :param time_constant_fs: time constant of the thermostat in fs.
    :param seed: seed of CP2K's random numbers (initial velocities, thermostat).
    :param velocities: initial velocities (n_atoms, 3) in Å/ps, in the order of the structure's sites.
    :param walltime_s: time in s after which CP2K stops by itself, in good order.
    :param fixed_atoms: numbers of the sites that stay where they are, from 0; CP2K prints no force on them.
    :returns: the whole input tree, without the structure.
    """
    added: Tree = {
        'GLOBAL': {'RUN_TYPE': 'MD', 'SEED': seed},
        'MOTION': {
            'MD': {
                'ENSEMBLE': 'NVT',
                'STEPS': n_steps,
                'TIMESTEP': timestep_fs,
                'TEMPERATURE': temperature_k,
                'PRINT': {'PROGRAM_RUN_INFO': {'EACH': {'MD': 10}}},
                'THERMOSTAT': {'TYPE': 'CSVR', 'CSVR': {'TIMECON': time_constant_fs}},
            },
            'PRINT': _every_frame(),
        },
    }
    _fix(added, fixed_atoms)
    if walltime_s is not None:
        added['GLOBAL']['WALLTIME'] = round(walltime_s)
    if velocities is not None:
        moving = np.array(velocities, dtype=float)
        moving[list(fixed_atoms)] = 0.0
        added['FORCE_EVAL'] = {'SUBSYS': {'VELOCITY': {'': velocity_lines(moving)}}}
    return merge(_quiet(level_of_theory), added)


def continuation_input(aimd: Mapping[str, Any], *, step: int, wave_function: str | None = None) -> Tree:
    """Let an AIMD go on from CP2K's restart file, which holds positions, velocities, thermostat and random numbers.

    CP2K counts `STEPS` from the step of the restart file, whose frame it does not print again.

    :param aimd: the input tree that the AIMD began with.
    :param step: the step at which the restart file was written.
    :param wave_function: path of the wave function at that step; the first SCF begins with the guess where there is
        none.
    :returns: the whole input tree; the restart file is expected under :data:`CONTINUED_FROM`.
    """
    tree = merge(aimd, {'EXT_RESTART': {'RESTART_FILE_NAME': CONTINUED_FROM}})
    tree['MOTION']['MD']['STEPS'] = tree['MOTION']['MD']['STEPS'] - step
    if 'SUBSYS' in tree['FORCE_EVAL']:
        tree['FORCE_EVAL']['SUBSYS'].pop('VELOCITY', None)
    dft = _section(tree, 'FORCE_EVAL', 'DFT')
    if wave_function is not None and dft and 'KPOINTS' not in dft:
        read = {'WFN_RESTART_FILE_NAME': wave_function, 'SCF': {'SCF_GUESS': 'RESTART'}}
        tree = merge(tree, {'FORCE_EVAL': {'DFT': read}})
    return tree


def optimisation_input(
    level_of_theory: Mapping[str, Any], *, max_steps: int, max_force: float, fixed_atoms: Sequence[int] = ()
) -> Tree:
    """Make the geometry optimisation that heals a snapshot; only its last structure is used.

    Atomic charges outside the chemical range are what a spoilt snapshot gives first in xTB: here, unlike in a labelled
    AIMD, CP2K goes on.

    :param level_of_theory: CP2K input tree with at least `FORCE_EVAL`.
    :param max_steps: largest number of optimisation steps.
    :param max_force: largest force component of a converged structure in eV/Å.
    :param fixed_atoms: numbers of the sites that stay where they are, from 0.
    :returns: the whole input tree, without the structure.
    """
    added: Tree = {
        'GLOBAL': {'RUN_TYPE': 'GEO_OPT'},
        'MOTION': {
            'GEO_OPT': {
                'TYPE': 'MINIMIZATION',
                'OPTIMIZER': 'BFGS',
                'MAX_ITER': max_steps,
                'MAX_FORCE': f'{max_force / HARTREE_PER_BOHR_TO_EV_PER_ANGSTROM:.6e}',
            },
            'PRINT': {'TRAJECTORY': {'EACH': {'GEO_OPT': 1}}} | _restart_every_step('GEO_OPT'),
        },
    }
    _fix(added, fixed_atoms)
    if _qs_method(level_of_theory) == 'XTB':
        added['FORCE_EVAL'] = {'DFT': {'QS': {'XTB': {'CHECK_ATOMIC_CHARGES': False}}}}
    return merge(_quiet(level_of_theory), added)


def replay_input(
    level_of_theory: Mapping[str, Any],
    *,
    n_frames: int,
    first_frame: int = 0,
    variable_cell: bool = False,
    careful: bool = False,
    eval_keyword: bool = False,
    walltime_s: float | None = None,
) -> Tree:
    """Make the single points that label frames which exist already (CP2K's REFTRAJ), with every force on disk.

    CP2K numbers the frames as the trajectory file does, from 1, wherever it starts. The user's motion is left out, its
    constraints above all: a single point knows the true force on every atom. Every SCF starts afresh.

    :param level_of_theory: CP2K input tree with at least `FORCE_EVAL`.
    :param n_frames: number of frames in the trajectory file.
    :param first_frame: number of the first one to compute, from 0.
    :param variable_cell: whether the cell is read with each frame.
    :param careful: whether the SCF begins with short steps, because one has gone astray.
    :param eval_keyword: whether this CP2K has the keyword `EVAL`, see :func:`knows_eval`.
    :param walltime_s: time in s after which CP2K stops by itself, in good order.
    :returns: the whole input tree, without the trajectory.
    """
    frames: Tree = {
        'TRAJ_FILE_NAME': REPLAY_POSITION_FILE,
        **({'EVAL': 'ENERGY_FORCES'} if eval_keyword else {'EVAL_ENERGY_FORCES': True, 'EVAL_FORCES': True}),
        'FIRST_SNAPSHOT': first_frame + 1,
        'LAST_SNAPSHOT': n_frames,
    }
    if variable_cell:
        frames |= {'VARIABLE_VOLUME': True, 'CELL_FILE_NAME': REPLAY_CELL_FILE}
    base = _quiet({key: value for key, value in level_of_theory.items() if key != 'MOTION'})
    added: Tree = {
        'GLOBAL': {'RUN_TYPE': 'MD'},
        'MOTION': {
            'MD': {'ENSEMBLE': 'REFTRAJ', 'STEPS': n_frames - first_frame, 'REFTRAJ': frames},
            'PRINT': _every_frame(),
        },
    }
    if walltime_s is not None:
        added['GLOBAL']['WALLTIME'] = round(walltime_s)
    return _start_afresh(merge(base, added), careful=careful)


def knows_eval(version: str | None) -> bool:
    """Whether REFTRAJ has the keyword `EVAL`: from 2024.1 on, beside those that it replaces, from 2026.2 on alone.

    :param version: of CP2K, such as `2025.1`; None where it isn't known.
    """
    numbers = re.match(r'(\d+)\.(\d+)', version or '')
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (2024, 1)


def _start_afresh(tree: Tree, *, careful: bool) -> Tree:
    """Let each SCF start from the guess and not from the frame before, whatever an AIMD does at this level of theory.

    From the wavefunction of a frame that lies far away in time the SCF of xTB falls into states of impossible charges.
    The limits that CP2K takes once it has a history (`*_HISTORY`) would hold from the first frame on, and the restart
    file of the frame before is a history too.

    :param tree: CP2K input tree.
    :param careful: whether the orbital transformation begins with a short step, or a diagonalisation mixes little and
        extrapolates late, so that it does not overshoot.
    """
    if not _section(tree, 'FORCE_EVAL', 'DFT'):
        return tree
    tree = merge(tree, {'FORCE_EVAL': {'DFT': {'QS': {'EXTRAPOLATION': 'USE_GUESS'}, 'SCF': {}}}})
    dft = tree['FORCE_EVAL']['DFT']
    scf = {key: value for key, value in dft['SCF'].items() if key not in ('MAX_SCF_HISTORY', 'EPS_SCF_HISTORY')}
    if 'RESTART' in str(scf.get('SCF_GUESS', '')).upper() and 'WFN_RESTART_FILE_NAME' not in dft:
        del scf['SCF_GUESS']
    if careful and isinstance(scf.get('OT'), Mapping):
        own = scf['OT'].get('STEPSIZE')
        shorter = isinstance(own, (int, float)) and 0 < own < CAREFUL_STEP
        scf['OT'] = {**scf['OT'], 'STEPSIZE': own if shorter else CAREFUL_STEP}
    elif careful and isinstance(scf.get('MIXING'), Mapping):
        scf |= {'MIXING': {**scf['MIXING'], 'ALPHA': CAREFUL_MIXING}, 'EPS_DIIS': CAREFUL_DIIS}
    dft['SCF'] = scf
    return tree


def _every_frame() -> Tree:
    """Sections that put every frame of a motion on disk, and the restart file that aiida-cp2k wants beside them."""
    each = {'EACH': {'MD': 1}}
    return {name: dict(each) for name in ('TRAJECTORY', 'FORCES', 'CELL')} | _restart_every_step('MD')


def _fix(motion: Tree, fixed_atoms: Sequence[int]) -> None:
    """Add the constraint that holds atoms, whose numbers are from 0 here and from 1 in CP2K."""
    if fixed_atoms:
        numbers = np.unique(np.asarray(fixed_atoms, dtype=int)) + 1
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)  # short lines: CP2K reads `1..36`
        words = [f'{run[0]}..{run[-1]}' if len(run) > 1 else f'{run[0]}' for run in runs]
        motion['MOTION']['CONSTRAINT'] = {'FIXED_ATOMS': {'LIST': ' '.join(words)}}


def _restart_every_step(run_type: str) -> Tree:
    """Sections that keep a restart file up to date at every step, and the one before: CP2K may be killed writing it."""
    return {'RESTART': {'BACKUP_COPIES': 1, 'EACH': {run_type: 1}}, 'RESTART_HISTORY': {'_': 'OFF'}}


def _quiet(level_of_theory: Mapping[str, Any]) -> Tree:
    """Lay the user's input over a print level that leaves out the SCF tables: they are nine tenths of the output.

    Every energy is printed, in hartree, whatever the user says: by it an SCF that did not converge is known.
    """
    defaults: Tree = {'GLOBAL': {'PRINT_LEVEL': 'LOW', 'TIMINGS': {'THRESHOLD': 0.1}}}
    if _section(level_of_theory, 'FORCE_EVAL', 'DFT'):
        defaults['FORCE_EVAL'] = {'DFT': {'SCF': {'PRINT': {'PROGRAM_RUN_INFO': {'_': 'OFF'}}}}}
    tree = merge(defaults, level_of_theory)
    if str(tree['GLOBAL']['PRINT_LEVEL']).upper() == 'SILENT':
        tree['GLOBAL']['PRINT_LEVEL'] = 'LOW'
    if isinstance(tree['FORCE_EVAL'].get('PRINT'), Mapping):
        tree['FORCE_EVAL']['PRINT'].pop('PROGRAM_RUN_INFO', None)
    return tree


def velocity_lines(velocities: FloatArray) -> list[str]:
    """Write velocities as the lines of CP2K's `VELOCITY` section.

    :param velocities: (n_atoms, 3) in Å/ps.
    :returns: one line an atom, in atomic units (bohr per atomic unit of time).
    """
    scaled = np.asarray(velocities, dtype=float) / ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS
    return [' '.join(f'{component:.12e}' for component in atom) for atom in scaled]


# ------------------------------------------------------------------------------------------------------------ checks


def _section(tree: Mapping[str, Any], *path: str) -> Tree:
    """Return a section of an input tree, or an empty one where it is missing or isn't a section."""
    for name in path:
        child = tree.get(name)
        if not isinstance(child, Mapping):
            return {}
        tree = child
    return dict(tree)


def _sections(tree: Mapping[str, Any], name: str) -> list[Tree]:
    """Return a section that may be repeated as a list."""
    child = tree.get(name)
    if isinstance(child, Mapping):
        return [dict(child)]
    if isinstance(child, Sequence) and not isinstance(child, str):
        return [dict(item) for item in child if isinstance(item, Mapping)]
    return []


def _qs_method(parameters: Mapping[str, Any]) -> str:
    """Name the electronic structure method of a Quickstep input; CP2K's default is GPW."""
    return str(_section(parameters, 'FORCE_EVAL', 'DFT', 'QS').get('METHOD', 'GPW')).upper()


def check_level_of_theory(parameters: Mapping[str, Any]) -> str | None:
    """Find what makes a CP2K input unfit to label frames with, before a job is queued for it.

    :param parameters: CP2K input tree.
    :returns: one sentence, or None where nothing is wrong.
    """
    if not isinstance(parameters.get('FORCE_EVAL'), Mapping):
        return (
            'cp2k.cp2k.parameters has no single FORCE_EVAL section, which is the level of theory of the labels: add it.'
        )
    for name in ('TRAJECTORY', 'FORCES', 'CELL'):
        for key in ('UNIT', 'FORMAT', 'FILENAME'):
            if key in _section(parameters, 'MOTION', 'PRINT', name):
                return (
                    f'MOTION/PRINT/{name}/{key} is set, but the frames are read as CP2K writes them by itself, in Å '
                    'and hartree/bohr: leave it out.'
                )
    cell = _section(parameters, 'FORCE_EVAL', 'SUBSYS', 'CELL')
    if str(cell.get('PERIODIC', 'XYZ')).strip().upper() != 'XYZ' or 'MULTIPLE_UNIT_CELL' in cell:
        key = 'MULTIPLE_UNIT_CELL' if 'MULTIPLE_UNIT_CELL' in cell else 'PERIODIC'
        return (
            f'FORCE_EVAL/SUBSYS/CELL/{key} is {cell[key]}, but the frames are learnt as those of the structure, '
            'periodic in three directions: leave it out.'
        )
    if 'FIXED_ATOMS' in _section(parameters, 'MOTION', 'CONSTRAINT'):
        return (
            'MOTION/CONSTRAINT/FIXED_ATOMS is set, and the forces of these atoms would be learnt as zero: give their '
            'numbers as `fixed_atoms`, which leaves them out.'
        )
    return None


def check_elements(
    parameters: Mapping[str, Any],
    elements: Iterable[str],
    *,
    with_basis: Collection[str] = (),
    with_potential: Collection[str] = (),
) -> str | None:
    """Find the elements that a level of theory can't treat: CP2K would stop at them only once it runs.

    :param parameters: CP2K input tree.
    :param elements: chemical symbols of the structure.
    :param with_basis: elements whose basis set comes in another way (aiida-cp2k's `basissets`).
    :param with_potential: elements whose potential comes in another way (aiida-cp2k's `pseudos`).
    :returns: one sentence that names the elements and the remedy, or None where all are covered.
    """
    wanted = sorted(set(elements))
    method = str(_section(parameters, 'FORCE_EVAL').get('METHOD', 'QUICKSTEP')).upper()
    if method == 'FIST':
        return _check_charges(parameters, wanted)
    if method not in ('QUICKSTEP', 'QS'):
        return None
    if _qs_method(parameters) == 'XTB':
        missing = [element for element in wanted if element not in GFN1_XTB_ELEMENTS]
        if missing:
            return (
                f'GFN1-xTB has no parameters for {", ".join(missing)}: it covers H to Rn only, '
                'use another METHOD in FORCE_EVAL/DFT/QS of cp2k.cp2k.parameters.'
            )
        return None
    if _qs_method(parameters) in BASIS_METHODS:
        return _check_kinds(parameters, wanted, with_basis, with_potential)
    return None


def _check_kinds(
    parameters: Mapping[str, Any], elements: list[str], with_basis: Collection[str], with_potential: Collection[str]
) -> str | None:
    """Look for a KIND with BASIS_SET and POTENTIAL for each element."""
    kinds: dict[str, Tree] = {}
    for kind in _sections(_section(parameters, 'FORCE_EVAL', 'SUBSYS'), 'KIND'):
        name = str(kind.get('ELEMENT', kind.get('_', '')))
        kinds[re.sub(r'[^A-Za-z].*', '', name).capitalize()] = kind
    default = kinds.get('Default', {})
    for keyword, elsewhere in (('BASIS_SET', with_basis), ('POTENTIAL', with_potential)):
        missing = [e for e in elements if keyword not in kinds.get(e, default) and e not in elsewhere]
        if missing:
            return (
                f'The level of theory has no {keyword} for {", ".join(missing)}: add it to the KIND section of the '
                'element in FORCE_EVAL/SUBSYS of cp2k.cp2k.parameters.'
            )
    return None


def _check_charges(parameters: Mapping[str, Any], elements: list[str]) -> str | None:
    """Look for a CHARGE of each element in a classical force field that is written out in the input."""
    force_field = _section(parameters, 'FORCE_EVAL', 'MM', 'FORCEFIELD')
    if 'PARM_FILE_NAME' in force_field:
        return None
    charged = {str(charge.get('ATOM', '')).capitalize() for charge in _sections(force_field, 'CHARGE')}
    missing = [element for element in elements if element not in charged]
    if missing:
        return (
            f'The classical force field has no CHARGE for {", ".join(missing)}: add one with ATOM and CHARGE to '
            'FORCE_EVAL/MM/FORCEFIELD of cp2k.cp2k.parameters.'
        )
    return None
