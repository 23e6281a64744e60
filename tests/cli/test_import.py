"""`import-dataset` and `import-model`: what they print, store and refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from click.testing import CliRunner

from aiida_deepmd.data.dataset import DatasetData
from aiida_sis.cli.cmd_import import ranges
from aiida_sis.cli.root import main
from tests.deepmd.files.test_model_file import field, whole_graph


def call(*arguments: Any) -> Any:
    """Run the command line in the profile of the tests, on a wide terminal."""
    profile = str(get_config().default_profile_name)
    return CliRunner().invoke(main, [str(word) for word in (*arguments, '-p', profile)], env={'COLUMNS': '200'})


@pytest.fixture
def folder(deepmd_datasets: dict[str, DatasetData], tmp_path: Path) -> Path:
    """Two DeePMD systems of 15 frames: an ion pair. The second has a frame 800 eV above and one pressed together."""
    for name, dataset in deepmd_datasets.items():
        dataset.write_npy(tmp_path / 'data' / name)
    for key, frame, value in (('energy', 3, 800.0), ('coord', 8, None)):
        path = tmp_path / 'data/aimd_1/set.000' / f'{key}.npy'
        array = np.load(path)
        if value is None:
            array[frame, 3:6] = array[frame, :3] + 0.3
        else:
            array[frame] += value
        np.save(path, array)
    return tmp_path / 'data'


def test_table_and_nodes(folder: Path) -> None:
    result = call('import-dataset', folder, '--type-map', 'N,S,O,F,Li,H', '--seed', 2, '--label', 'pair')
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=2) for line in result.output.splitlines() if line.strip()]
    assert ['kept', '15', '9 train, 3 validation, 3 test'] in [[*line[:2], *map(str.strip, line[2:])] for line in lines]
    for words in (('refused', '2'), ('close_contact', '1'), ('energy_limit', '1'), ('flagged', '1'), ('kept', '13')):
        assert words in [tuple(line[:2]) for line in lines]
    assert 'reactions take it: 3' in result.output
    assert 'covalent radii: 8' in result.output
    found = orm.QueryBuilder().append(DatasetData, filters={'label': {'like': 'pair %'}}).all(flat=True)
    assert sorted((node.label, node.n_frames) for node in found) == [('pair aimd_0', 15), ('pair aimd_1', 13)]
    assert all(f'DatasetData<{node.pk}>' in result.output for node in found)
    assert {tuple(node.type_map) for node in found} == {('N', 'S', 'O', 'F', 'Li', 'H')}


def test_zero_forces_are_refused_in_the_words_of_the_command_line(folder: Path) -> None:
    path = folder / 'aimd_0/set.000/force.npy'
    forces = np.load(path)
    forces[:, 6:12] = 0.0
    np.save(path, forces)
    result = call('import-dataset', folder / 'aimd_0')
    assert result.exit_code == 1
    assert '2 of 10 atoms' in result.output
    assert '`--fixed-atoms mask`' in result.output
    masked = call('import-dataset', folder / 'aimd_0', '--fixed-atoms', 'mask')
    assert masked.exit_code == 0, masked.output
    assert '2 atoms without any force (2-3): left out of the loss' in masked.output


def test_isolated_atoms_get_a_line_and_spoil_nothing(tmp_path: Path) -> None:
    rng, frames = np.random.default_rng(0), [Atoms('H'), Atoms('O')]
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, energy=-13.6, forces=np.zeros((1, 3)))
    for _ in range(6):
        atoms = Atoms('OH2', [[0, 0, 0], [1, 0, 0], [0, 1, 0]], cell=[8, 8, 8], pbc=True)
        atoms.positions += rng.normal(0, 0.05, (3, 3))
        atoms.info['REF_energy'], atoms.arrays['REF_forces'] = -400.0 - rng.random(), rng.normal(size=(3, 3))
        frames.append(atoms)
    write(tmp_path / 'mace.xyz', frames, format='extxyz')
    refused = call('import-dataset', tmp_path / 'mace.xyz')
    assert refused.exit_code == 1
    assert 'REF_energy, REF_forces' in ' '.join(refused.output.split())
    result = call('import-dataset', tmp_path / 'mace.xyz', '--energy-key', 'REF_energy', '--forces-key', 'REF_forces')
    assert result.exit_code == 0, result.output
    assert 'H: 1 frame left out, no energy or no forces: 0' in result.output
    assert 'DatasetData<' in result.output


def test_notes_and_elements(folder: Path) -> None:
    (folder / 'aimd_0/type_map.raw').write_text('N\nS\nO\nF\nLithium\nH\n')
    np.save(folder / 'aimd_0/set.000/virial.npy', np.zeros((15, 9)))
    unknown = call('import-dataset', folder / 'aimd_0')
    assert unknown.exit_code == 1
    assert '--elements Lithium=' in ' '.join(unknown.output.split())
    result = call('import-dataset', folder / 'aimd_0', '--elements', 'Lithium=Li', '--type-map', 'N S O F Li H')
    assert result.exit_code == 0, result.output
    assert 'Note: Atoms called Lithium as Li.' in result.output
    assert 'Note: virial.npy is not read.' in result.output
    assert call('import-dataset', folder / 'aimd_0', '--elements', 'Lithium').exit_code == 2
    twice = call('import-dataset', folder / 'aimd_0', '--type-map', 'Li,Li,O')
    assert twice.exit_code == 1
    assert 'names Li more than once' in twice.output


def test_a_run_of_cp2k(aiida_profile: Any) -> None:
    result = call('import-dataset', Path(__file__).parents[1] / 'files/cp2k_by_hand/restart')
    assert result.exit_code == 0, result.output
    assert 'is there twice: 4-5' in result.output
    assert 'restart, O,H' in result.output


def test_model(aiida_profile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored of a model, where there is no DeePMD-kit to try it with; and that this is said."""
    monkeypatch.setattr('aiida_deepmd.files.model_trial.can_try', lambda _: False)
    script = {'model': {'type_map': ['O', 'Li'], 'descriptor': {'type': 'se_e2_a', 'rcut': 6.0, 'sel': [20, 40]}}}
    path = tmp_path / 'old.pb'
    training = field(1, b'train_attr/training_script') + field(2, b'\x05Const' + json.dumps(script).encode())
    path.write_bytes(field(1, training) + whole_graph())
    result = call('import-model', path)
    assert result.exit_code == 0, result.output
    assert 'O,Li: se_e2_a, 6 Å, sel [20, 40]' in result.output
    assert 'Warning: ' in result.output
    assert 'nor were its forces compared with its energies' in result.output
    node = orm.load_node(int(result.output.split('PotentialData<')[1].split('>')[0]))
    assert (node.type_map, node.descriptor, node.rcut, node.sel) == (['O', 'Li'], 'se_e2_a', 6.0, [20, 40])
    assert (node.label, node.compressed) == ('old.pb', False)
    other = call('import-model', path, '--type-map', 'Li,O')
    assert other.exit_code == 1
    assert "has the type_map ['O', 'Li']" in other.output
    path.write_bytes(whole_graph())
    assert 'give its type_map' in call('import-model', path).output
    assert call('import-model', path, '--type-map', 'O,Li').exit_code == 0
    path.rename(tmp_path / 'old.pt2')
    other = call('import-model', tmp_path / 'old.pt2').output
    assert 'another backend of DeePMD-kit' in other
    assert '(`aiida-sis import-dataset`)' in other


def test_nothing_to_read(tmp_path: Path) -> None:
    result = call('import-dataset', tmp_path / 'nowhere')
    assert result.exit_code == 1
    assert 'does not exist' in result.output


def test_ranges() -> None:
    assert ranges([0, 1, 2, 5, 7, 8]) == '0-2, 5, 7-8'
    assert ranges([]) == ''
