"""From checked parameters to atoms and the report of what they are, without AiiDA."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from aiida_deepmd.settings import StrictModel
from aiida_sis.structures import electrolyte, lithium, salt
from aiida_sis.structures.composition import GRAM_PER_CM3_PER_DALTON_PER_ANGSTROM3
from aiida_sis.structures.molecules import LIFSI_DOL
from aiida_sis.structures.packing import shortest_between
from aiida_sis.structures.parameters import (
    BulkParameters,
    ClusterParameters,
    ElectrolyteParameters,
    InterfaceParameters,
    SaltParameters,
    SlabParameters,
)

__all__ = ('BUILDERS', 'PAPER_CELLS', 'Built', 'build', 'check', 'describe')

# The cells of the paper (Xu et al. 2023). Its authors count 1 LiFSI and 21 DOL in 15 Å as 1 M.
PAPER_CELLS: dict[str, dict[str, dict[str, Any]]] = {
    'bulk': {'disordered': {'n_atoms': 91, 'cell_angstrom': 11.0}},
    'slab': {'100': {'repeat': 3, 'layers': 6, 'lattice_parameter_angstrom': 3.49, 'vacuum_angstrom': 18.0}},
    'electrolyte': {'1M': {'n_lifsi': 1, 'n_dol': 21, 'cell_angstrom': 15.0}},
    'interface': {'1M': {'n_lifsi': 1, 'n_dol': 13}, '10M': {'n_lifsi': 10, 'n_dol': 3}},
}


@dataclass(frozen=True)
class Built:
    """What a builder gave.

    :param atoms: the periodic cell.
    :param label: what it is, in a few words.
    :param report: numbers worth telling, their units in their names; plain values only.
    """

    atoms: Atoms
    label: str
    report: dict[str, Any] = field(default_factory=dict)


def build(kind: str, values: Mapping[str, Any], seed: int) -> Built:
    """Build a structure.

    :param kind: one of :data:`BUILDERS`.
    :param values: its parameters.
    :param seed: seed of every random choice, 0 or above.
    :returns: the atoms, their label and their report.
    :raises ValueError: in one sentence, if a parameter is bad or the molecules do not fit.
    """
    built = BUILDERS[kind].make(_read(kind, values, seed), seed)
    return Built(built.atoms, built.label, {**describe(built.atoms), **built.report, 'seed': seed})


def check(kind: str, values: Mapping[str, Any], seed: int) -> None:
    """Refuse bad parameters before anything is built; whether the molecules fit, only the packing tells.

    :param kind: one of :data:`BUILDERS`.
    :param values: its parameters.
    :param seed: seed of every random choice, 0 or above.
    :raises ValueError: in one sentence, if a parameter is bad.
    """
    parameters = _read(kind, values, seed)
    if isinstance(parameters, (ElectrolyteParameters, InterfaceParameters)):
        electrolyte.refuse_density(*_numbers(parameters), parameters.volume)


def describe(atoms: Atoms) -> dict[str, Any]:
    """Tell what can be told of any cell.

    :param atoms: the periodic cell.
    :returns: formula, number of atoms, cell, density, number of electrons and the shortest distance.
    """
    distances = atoms.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    density = float(atoms.get_masses().sum() / atoms.get_volume() * GRAM_PER_CM3_PER_DALTON_PER_ANGSTROM3)
    return {
        'formula': atoms.get_chemical_formula(),
        'n_atoms': len(atoms),
        'cell_angstrom': [round(float(length), 6) for length in atoms.cell.lengths()],
        'cell_density_g_cm3': density,
        'n_electrons': int(atoms.get_atomic_numbers().sum()),
        'shortest_distance_angstrom': float(distances.min()) if len(atoms) > 1 else None,
    }


def _bulk(p: BulkParameters, seed: int) -> Built:
    if p.n_atoms is not None and p.cell_angstrom is not None:
        atoms = lithium.disordered_lithium(p.n_atoms, p.cell_angstrom, seed)
        return Built(lithium.rattled(atoms, p.rattle_angstrom, seed), f'disordered Li, {p.n_atoms} atoms')
    atoms = lithium.bulk_lithium(p.repeat, p.lattice_parameter_angstrom, p.rattle_angstrom, seed)
    return Built(atoms, f'bcc Li, {len(atoms)} atoms')


def _slab(p: SlabParameters, _seed: int) -> Built:
    atoms = lithium.lithium_100(p.repeat, p.layers, p.lattice_parameter_angstrom, p.vacuum_angstrom)
    fixed = lithium.bottom_layers(atoms, p.fixed_layers)
    return Built(atoms, f'Li(100) slab, {p.layers} layers', {'fixed_atoms': fixed})


def _electrolyte(p: ElectrolyteParameters, seed: int) -> Built:
    n_lifsi, n_dol = _numbers(p)
    packed = electrolyte.electrolyte_box(n_lifsi, n_dol, p.cell_angstrom, seed)
    return Built(packed.atoms, f'{n_lifsi} LiFSI + {n_dol} DOL', packed.report())


def _interface(p: InterfaceParameters, seed: int) -> Built:
    slab = lithium.lithium_100(p.repeat, p.layers, p.lattice_parameter_angstrom, p.spacing)
    n_lifsi, n_dol = _numbers(p)
    packed = electrolyte.slab_with_electrolyte(slab, p.spacing, p.gap_angstrom, n_lifsi, n_dol, seed)
    fixed = lithium.bottom_layers(slab, p.fixed_layers)
    label = f'Li(100) slab of {len(slab)} | {n_lifsi} LiFSI + {n_dol} DOL'
    return Built(packed.atoms, label, {'n_slab': len(slab), **packed.report(), 'fixed_atoms': fixed})


def _salt(p: SaltParameters, seed: int) -> Built:
    edge = p.lattice_parameter_angstrom or salt.LATTICE_PARAMETER
    if p.density_g_cm3 is not None:
        edge = salt.lattice_parameter_at(p.density_g_cm3)
    atoms = salt.sodium_chloride_cell(p.repeat, edge, p.rattle_angstrom, seed)
    return Built(atoms, f'NaCl, {len(atoms)} atoms', {'lattice_parameter_angstrom': edge})


def _cluster(p: ClusterParameters, seed: int) -> Built:
    atoms = lithium.cluster_with_lifsi(
        p.n_lithium, p.lattice_parameter_angstrom, p.distance_angstrom, p.cell_angstrom, seed
    )
    parts = np.repeat([0, 1], [p.n_lithium, len(atoms) - p.n_lithium])
    report = {'n_cluster': p.n_lithium, 'shortest_between_molecules_angstrom': shortest_between(atoms, parts)}
    return Built(atoms, f'Li{p.n_lithium} + LiFSI', report)


def _numbers(p: ElectrolyteParameters | InterfaceParameters) -> tuple[int, int]:
    if p.n_lifsi is not None and p.n_dol is not None:
        return p.n_lifsi, p.n_dol
    assert p.concentration_molar is not None  # one of the two is there, or the parameters were refused
    return LIFSI_DOL.fill(p.concentration_molar, p.volume, p.density_g_cm3)


def _read(kind: str, values: Mapping[str, Any], seed: int) -> StrictModel:
    if seed < 0:
        raise ValueError(f'The seed is {seed}: give 0 or above.')
    return BUILDERS[kind].parameters.read(values, f'{BUILDERS[kind].name} parameters')


@dataclass(frozen=True)
class Builder:
    """How one kind of structure is built.

    :param name: of the builder among the calcfunctions.
    :param parameters: what it is told.
    :param make: builds it from these and a seed.
    """

    name: str
    parameters: type[StrictModel]
    make: Callable[[Any, int], Built]


BUILDERS = {
    'bulk': Builder('lithium_bulk', BulkParameters, _bulk),
    'slab': Builder('lithium_slab', SlabParameters, _slab),
    'electrolyte': Builder('lifsi_dol_electrolyte', ElectrolyteParameters, _electrolyte),
    'interface': Builder('lithium_interface', InterfaceParameters, _interface),
    'salt': Builder('sodium_chloride', SaltParameters, _salt),
    'cluster': Builder('lithium_cluster_lifsi', ClusterParameters, _cluster),
}
