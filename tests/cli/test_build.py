"""``aiida-sis build``, as it is typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from ase.io import read, write
from click.testing import CliRunner, Result

from aiida_sis.cli import main

KINDS = ('bulk', 'cluster', 'electrolyte', 'file', 'interface', 'salt', 'slab')


def typed(*words: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ['build', *words])


@pytest.mark.parametrize('kind', KINDS)
def test_help_has_an_example(kind: str) -> None:
    """Every verb explains itself, and its example is one that the command line takes."""
    result = typed(kind, '--help')
    assert result.exit_code == 0
    example = re.search(rf'aiida-sis build {kind} [^\n]+', result.output)
    assert example is not None
    assert kind in typed('--help').output


@pytest.mark.parametrize(
    ('words', 'lines'),
    [
        (('bulk', '--repeat', '2'), ['bcc Li, 16 atoms', '7.02 × 7.02 × 7.02 Å', '3.04 Å between atoms']),
        (('bulk', '--like-paper'), ['91, Li91', 'odd number: label with an unrestricted method']),
        (('slab', '--layers', '4', '--fixed-layers', '1'), ['36, Li36', '0, 1, 2, 3, 4, 5, 6, 7, 8']),
        (('slab', '--like-paper'), ['54, Li54', '10.47 × 10.47 × 26.725 Å']),
        (('salt', '--density', '1.5'), ['64, Cl32Na32', '1.500 g/cm³']),
        (('cluster', '--seed', '3'), ['Li6 + LiFSI', '2.20 Å between molecules', 'even number']),
        (('electrolyte', '--like-paper', '1M'), ['1 LiFSI + 21 DOL', '241,', '0.49 mol/L, 0.86 g/cm³']),
        (('interface', '--like-paper', '1M'), ['54 | 1 LiFSI + 13 DOL', '207,', '10.47 × 10.47 × 26.725 Å']),
    ],
)
def test_dry_run(words: tuple[str, ...], lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows what it built; no profile is needed and none is made."""
    monkeypatch.chdir(tmp_path)
    result = typed(*words, '--dry-run')
    assert result.exit_code == 0, result.output
    for line in (*lines, 'nothing stored'):
        assert line in result.output
    assert list(tmp_path.iterdir()) == []


def test_stored(aiida_profile_clean, tmp_path: Path) -> None:
    """The PK that is printed is that of the structure, with its builder behind it; the file holds the same atoms."""
    path = tmp_path / 'cluster.extxyz'
    profile = str(get_config().default_profile_name)
    result = typed('cluster', '--atoms', '4', '--seed', '2', '-p', profile, '-o', str(path))
    assert result.exit_code == 0, result.output
    pk = re.search(r'PK (\d+)', result.output)
    assert pk is not None
    node = orm.load_node(int(pk.group(1)))
    assert isinstance(node, orm.StructureData)
    assert node.creator.process_label == 'lithium_cluster_lifsi'
    assert node.creator.inputs.seed.value == 2
    assert node.creator.inputs.parameters.get_dict() == {'n_lithium': 4}
    written = read(path)
    assert written.get_chemical_symbols() == node.get_ase().get_chemical_symbols()
    assert written.pbc.all()


def test_file(aiida_profile_clean, tmp_path: Path) -> None:
    """A file without a cell is refused with the option that helps, and taken with it."""
    path = tmp_path / 'water.xyz'
    write(path, molecule('H2O'), format='xyz')
    profile = str(get_config().default_profile_name)
    refused = typed('file', str(path), '-p', profile)
    assert refused.exit_code == 1
    assert '--cell X Y Z' in refused.output
    result = typed('file', str(path), '--cell', '8', '8', '9', '-p', profile)
    assert result.exit_code == 0, result.output
    assert '8 × 8 × 9 Å' in result.output
    pk = re.search(r'PK (\d+)', result.output)
    assert pk is not None
    assert orm.load_node(int(pk.group(1))).label == 'water.xyz'


def test_file_with_fixed_atoms_and_without_elements(tmp_path: Path) -> None:
    """The atoms that a file holds in place are shown as those of a slab; a dump asks for the option by its name."""
    atoms = bulk('NaCl', 'rocksalt', a=5.64, cubic=True)
    atoms.set_constraint(FixAtoms([0, 3]))
    write(tmp_path / 'POSCAR', atoms)
    result = typed('file', str(tmp_path / 'POSCAR'), '--dry-run')
    assert result.exit_code == 0, result.output
    assert 'fixed      0, 3' in result.output
    frame = 'ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 6\n0 6\n0 6\n'
    path = tmp_path / 'x.lammpstrj'
    path.write_text(frame + 'ITEM: ATOMS id type xu yu zu\n1 1 0 0 0\n2 2 3 3 3\n')
    refused = typed('file', str(path), '--dry-run')
    assert refused.exit_code == 1
    assert '--type-map Na,Cl for example' in ' '.join(refused.output.split())
    for given in ('K,F', 'K F'):
        assert 'atoms      2, FK' in typed('file', str(path), '--type-map', given, '--dry-run').output


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (('electrolyte',), 'Give --concentration, or both --n-lifsi and --n-dol.'),
        (('electrolyte', '--concentration', '0.1'), 'holds 0.20 formula units'),
        (('electrolyte', '--concentration', '1', '--cell', '-3'), 'The value -3.0 of --cell'),
        (('electrolyte', '--like-paper', '1M', '--concentration', '1'), 'already fix concentration'),
        (('interface', '--concentration', '1', '--cell-z', '12'), 'too small for the slab'),
        (('cluster', '--atoms', '5'), 'or set --allow-odd'),
        (('bulk', '--seed', '-1'), 'The seed is -1'),
        (('file', 'not-there.cif'), 'There is no file not-there.cif'),
        (('salt', '-o', 'salt.nonsense'), 'use a suffix such as .extxyz or .cif'),
        (('salt', '-o', 'no/such/folder/salt.cif'), 'there is no folder no/such/folder'),
    ],
)
def test_refused(words: tuple[str, ...], sentence: str) -> None:
    """Bad input is one sentence that speaks of options, not of keys."""
    result = typed(*words, '--dry-run')
    assert result.exit_code != 0
    assert sentence in ' '.join(result.output.split())
    assert 'Traceback' not in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_format_that_needs_more_than_atoms(tmp_path: Path) -> None:
    """An input of Quantum ESPRESSO needs pseudopotentials: one sentence, and the suffix that it names works."""
    refused = typed('salt', '--dry-run', '-o', str(tmp_path / 'salt.pwi'))
    assert refused.exit_code == 1
    assert isinstance(refused.exception, SystemExit)
    assert 'use a suffix such as .extxyz or .cif' in ' '.join(refused.output.split())
    for suffix in ('extxyz', 'cif'):
        assert typed('salt', '--dry-run', '-o', str(tmp_path / f'salt.{suffix}')).exit_code == 0
        assert len(read(tmp_path / f'salt.{suffix}')) == 64


def test_no_profile(tmp_path: Path) -> None:
    """Without a profile three ways on are named."""
    result = typed('salt', '--profile-dir', str(tmp_path))
    assert result.exit_code == 2
    for way in ('aiida-sis setup', '--profile-dir', '--dry-run'):
        assert way in result.output
