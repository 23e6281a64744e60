"""Levels of theory that take a second, and what a label and a replay by them have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm
from ase.io import read

FILES = Path(__file__).parents[1] / 'files' / 'cp2k'

_PAIRS = ('NA NA', 'NA CL', 'CL CL')
#: CP2K's classical engine on rock salt.
SALT: dict[str, Any] = {
    'FORCE_EVAL': {
        'METHOD': 'FIST',
        'MM': {
            'FORCEFIELD': {
                'CHARGE': [{'ATOM': 'Na', 'CHARGE': 1.0}, {'ATOM': 'Cl', 'CHARGE': -1.0}],
                'NONBONDED': {'BMHFT': [{'ATOMS': pair, 'MAP_ATOMS': pair, 'RCUT': 5.6} for pair in _PAIRS]},
            },
            'POISSON': {'EWALD': {'EWALD_TYPE': 'SPME', 'ALPHA': 0.4, 'GMAX': 32, 'O_SPLINE': 6}},
        },
    }
}


def gfn1_xtb(eps_scf: float = 1e-6, **qs: Any) -> dict[str, Any]:
    """Give GFN1-xTB.

    :param eps_scf: convergence of the SCF.
    :param qs: further keywords of the section QS.
    """
    return {
        'FORCE_EVAL': {
            'METHOD': 'QUICKSTEP',
            'DFT': {
                'QS': {'METHOD': 'XTB', 'XTB': {'DO_EWALD': True}, **qs},
                'POISSON': {'EWALD': {'EWALD_TYPE': 'SPME', 'ALPHA': 0.35, 'GMAX': 25}},
                'SCF': {
                    'EPS_SCF': eps_scf,
                    'MAX_SCF': 50,
                    'SCF_GUESS': 'MOPAC',
                    'OT': {'MINIMIZER': 'DIIS', 'PRECONDITIONER': 'FULL_SINGLE_INVERSE'},
                    'OUTER_SCF': {'MAX_SCF': 5, 'EPS_SCF': eps_scf},
                },
            },
        }
    }


def ion_pair() -> orm.StructureData:
    """Give one LiFSI ion pair, optimised, in a cell of 9 Å."""
    atoms = read(FILES / 'ion-pair.xyz')
    atoms.set_cell([9.0, 9.0, 9.0])
    atoms.set_pbc(True)
    return orm.StructureData(ase=atoms)


def inputs_of(
    cp2k: orm.InstalledCode, level_of_theory: dict[str, Any], type_map: list[str], **parameters: Any
) -> dict[str, Any]:
    """Give the inputs that a label and a replay have in common.

    :param parameters: settings of the label.
    """
    options = {'withmpi': False, 'resources': {'num_machines': 1}, 'max_wallclock_seconds': 600}
    return {
        'type_map': orm.List(type_map),
        'seed': orm.Int(7),
        'parameters': orm.Dict({'timestep_fs': 1.0, 'temperature_k': 300.0, **parameters}),
        'cp2k': {
            'cp2k': {'code': cp2k, 'parameters': orm.Dict(level_of_theory), 'metadata': {'options': options}},
        },
    }
