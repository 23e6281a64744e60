"""The small systems of the demonstration and the tests, at their optimised geometries."""

from __future__ import annotations

from aiida import orm

from aiida_sis.structures.molecules import read_geometry


def lifsi_ion_pair() -> orm.StructureData:
    """Give one LiFSI ion pair in a cubic cell of 9 Å, optimised with GFN1-xTB.

    The smallest piece of the paper's electrolyte that keeps its salt whole: Li+ on two oxygens of the FSI- anion. No
    hydrogen,
    so 1 fs is a sound timestep. An MD from an unoptimised start would explode and teach the potential nothing.

    :returns: the structure, 10 atoms; positions in Å.
    """
    return _structure('lifsi_ion_pair.xyz', 'LiFSI ion pair')


def lif_dimer() -> orm.StructureData:
    """Give Li2F2, the dimer whose aggregation the paper reports, in a cubic cell of 6 Å.

    :returns: the structure, 4 atoms; positions in Å.
    """
    return _structure('lif_dimer.xyz', '(LiF)2 dimer')


def rehearsal_systems(seed: int) -> tuple[orm.StructureData, orm.StructureData]:
    """Give the two structures of the rehearsal: 64 ions at the density of the melt, and the crystal.

    The first is the crystal stretched to 1.5 g/cm³, the density of the melt at 1200 K, where it collapses at once; only
    the second is labelled at first.

    :param seed: seed of the small displacements of the first.
    :returns: the start of the melt and the crystal at 25 °C; positions in Å.
    """
    from aiida_sis.structures.builders import sodium_chloride

    melt = sodium_chloride(orm.Dict({'density_g_cm3': 1.5, 'rattle_angstrom': 0.1}), orm.Int(seed))['structure']
    crystal = sodium_chloride(orm.Dict({}), orm.Int(seed))['structure']
    return melt, crystal


def _structure(filename: str, label: str) -> orm.StructureData:
    node = orm.StructureData(ase=read_geometry(filename))
    node.label = label
    return node
