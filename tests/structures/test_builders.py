"""The builders in the provenance graph, and structures from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

from aiida_sis.structures.build import BUILDERS
from aiida_sis.structures.builders import CALCFUNCTIONS
from aiida_sis.structures.file import structure_from_file


@pytest.mark.parametrize('kind', sorted(CALCFUNCTIONS))
def test_in_the_graph(aiida_profile_clean, kind: str) -> None:
    """Each builder is a calculation with two inputs, a labelled structure and a report that agrees with it."""
    values = {
        'electrolyte': {'n_lifsi': 1, 'n_dol': 2, 'cell_angstrom': 10.0},
        'interface': {'n_lifsi': 1, 'n_dol': 2, 'repeat': 3, 'layers': 2, 'spacing_angstrom': 12.0, 'fixed_layers': 1},
    }.get(kind, {})
    nodes, process = CALCFUNCTIONS[kind].run_get_node(parameters=orm.Dict(values), seed=orm.Int(4))
    structure, report = nodes['structure'], nodes['report']
    assert process.is_finished_ok
    assert process.process_label == BUILDERS[kind].name
    assert structure.is_stored
    assert structure.creator == process
    assert structure.label
    assert structure.get_formula('hill') == report['formula'] or len(structure.sites) == report['n_atoms']
    assert len(structure.sites) == report['n_atoms']
    assert report['seed'] == 4
    np.testing.assert_allclose(structure.get_ase().cell.lengths(), report['cell_angstrom'], atol=1e-6)
    if kind == 'interface':
        assert report['fixed_atoms'] == list(range(9))


def test_refusal_leaves_no_structure(aiida_profile_clean) -> None:
    """A builder that refuses raises its sentence and gives nothing."""
    with pytest.raises(ValueError, match="The key 'repaet' of the sodium_chloride parameters is unknown"):
        CALCFUNCTIONS['salt'](parameters=orm.Dict({'repaet': 2}), seed=orm.Int(1))
    assert orm.QueryBuilder().append(orm.StructureData).count() == 0


@pytest.mark.parametrize('suffix', ['extxyz', 'cif', 'vasp', 'xsf'])
def test_file_formats(aiida_profile, tmp_path: Path, suffix: str) -> None:
    """What ASE writes comes back as it was."""
    atoms = bulk('NaCl', 'rocksalt', a=5.64, cubic=True)
    write(tmp_path / f'salt.{suffix}', atoms)
    node = structure_from_file(tmp_path / f'salt.{suffix}')
    assert node.get_ase().get_chemical_formula() == 'Cl4Na4'
    np.testing.assert_allclose(node.cell_lengths, [5.64] * 3, atol=1e-5)
    assert node.pbc == (True, True, True)
    assert node.label == f'salt.{suffix}'


def test_file_given_cell(aiida_profile, tmp_path: Path) -> None:
    """A molecule without a cell gets the one that is given; the frame can be chosen."""
    path = tmp_path / 'two.xyz'
    frames = [molecule('H2O'), molecule('CH4')]
    write(path, frames, format='xyz')
    last = structure_from_file(path, cell=(9.0, 9.0, 10.0))
    assert last.get_ase().get_chemical_formula() == 'CH4'
    assert last.cell_lengths == [9.0, 9.0, 10.0]
    assert structure_from_file(path, cell=(9.0, 9.0, 10.0), index=0).get_ase().get_chemical_formula() == 'H2O'
    with pytest.raises(ValueError, match='has no frame 5'):
        structure_from_file(path, cell=(9.0, 9.0, 10.0), index=5)


def test_file_refused(aiida_profile, tmp_path: Path) -> None:
    """Each thing that is wrong with a file has its sentence and its remedy."""
    with pytest.raises(FileNotFoundError, match='There is no file'):
        structure_from_file(tmp_path / 'none.xyz')
    write(tmp_path / 'free.xyz', molecule('H2O'), format='xyz')
    with pytest.raises(ValueError, match='has no cell: give its edges'):
        structure_from_file(tmp_path / 'free.xyz')
    with pytest.raises(ValueError, match='not three edges above 0'):
        structure_from_file(tmp_path / 'free.xyz', cell=(9.0, -9.0, 9.0))
    write(tmp_path / 'slab.extxyz', Atoms('Li', cell=[3, 3, 20], pbc=(True, True, False)))
    with pytest.raises(ValueError, match=r'not periodic in all three directions: write it with pbc="T T T"'):
        structure_from_file(tmp_path / 'slab.extxyz')
    with pytest.raises(ValueError, match='has a cell of its own'):
        structure_from_file(tmp_path / 'slab.extxyz', cell=(9.0, 9.0, 9.0))
    (tmp_path / 'wrong.xyz').write_text('1\n\nQq 0.0 0.0 0.0\n')
    with pytest.raises(ValueError, match=r"The element 'Qq' in .* is unknown"):
        structure_from_file(tmp_path / 'wrong.xyz', cell=(9.0, 9.0, 9.0))
    (tmp_path / 'dummy.xyz').write_text('1\n\nX 0.0 0.0 0.0\n')
    with pytest.raises(ValueError, match=r"The element 'X' in .* is unknown"):
        structure_from_file(tmp_path / 'dummy.xyz', cell=(9.0, 9.0, 9.0))
    (tmp_path / 'nan.xyz').write_text('1\n\nLi nan 0.0 0.0\n')
    with pytest.raises(ValueError, match='no finite number'):
        structure_from_file(tmp_path / 'nan.xyz', cell=(9.0, 9.0, 9.0))
    (tmp_path / 'text.foo').write_text('hello\n')
    with pytest.raises(ValueError, match=r'format of .* is unknown to ASE'):
        structure_from_file(tmp_path / 'text.foo')
    (tmp_path / 'short.xyz').write_text('5\n\nLi 0.0 0.0 0.0\n')
    with pytest.raises(ValueError, match='could not be read'):
        structure_from_file(tmp_path / 'short.xyz', cell=(9.0, 9.0, 9.0))
