"""``aiida-sis run FILE``: what it will do, what it submits and what it refuses."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from ase.build import bcc100, bulk, molecule
from ase.constraints import FixAtoms
from ase.io import write
from click.testing import CliRunner, Result
from scipy.stats import chi2

from aiida_sis.cli import main

Codes = dict[str, orm.InstalledCode]


@pytest.fixture
def water(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a molecule without a cell, and stand in its folder."""
    monkeypatch.chdir(tmp_path)
    write('my-water.xyz', molecule('H2O'), format='xyz')
    return 'my-water.xyz'


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the builders in place of running them."""
    builders: list[Any] = []

    def keep(builder: Any) -> orm.WorkChainNode:
        builders.append(builder)
        return orm.WorkChainNode().store()

    monkeypatch.setattr('aiida.engine.submit', keep)
    return builders


def typed(*words: str) -> Result:
    """Type the command on the profile of the tests, with codes that are never run."""
    profile = str(get_config().default_profile_name)
    result = CliRunner().invoke(main, ['run', *words, '-p', profile, *['--cp2k', 'cp2k', '--dp', 'dp', '--lmp', 'lmp']])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def said(result: Result) -> dict[str, list[str]]:
    """Sort the lines that were printed by their titles."""
    found: dict[str, list[str]] = {}
    for line in result.output.splitlines():
        title, text = line[:13].strip(), line[14:]
        found.setdefault(title, []).append(text)
    return found


def test_every_number_before_it_is_used(stand_in_codes: Codes, water: str, submitted: list[Any]) -> None:
    """Three atoms at 350 K, two replicas of 20 ps: the windows, the network, the steps and the jobs."""
    result = typed(water, '--protocol', 'demo', '--temperature', '350', '--length', '20', '--dry-run')
    assert result.exit_code == 0, result.output
    rows = said(result)
    high = math.ceil(chi2(6, scale=350 / 6).isf(0.005 / (2 * 20 / 0.005)))
    assert rows['stages'] == [f'{name}: {length} ps, window 0 to {high} K' for name, length in
                              (('low-fidelity', 2), ('high-fidelity', 20))]  # fmt: skip
    assert rows['system'] == ['my_water: 3 atoms, H2O']
    assert rows['box'][0].endswith('a cube of 9 Å: its images stay 7.5 Å apart however it turns')
    assert rows['descriptor'] == ['se_e2_a, R_cut 5 Å, sel H 4, O 4']
    assert rows['first labels'] == ['2 AIMD of 100 fs (100 steps of 1 fs), after an optimisation of at most 30 steps']
    assert rows['training'] == ['2500 steps, learning rate from 0.01 to 1e-05']
    assert rows['MD'] == ['2 runs in each stage, of 2,000 and 20,000 steps of 1 fs']
    assert rows['jobs'][0].startswith('generation 0: 4 of CP2K, 1 of DeePMD-kit, at most 4 of LAMMPS')
    assert 'with hydrogen 0.5 fs is safer' in result.output
    assert '    at_least_k: [0.0, 1000.0]' in result.output.splitlines()
    assert not submitted


def test_changes_are_laid_over_each_other(stand_in_codes: Codes, water: str, submitted: list[Any]) -> None:
    """The file, then --set, then the options; an earlier stage is no longer than the last."""
    Path('changes.yaml').write_text('{sis: {replicas: 3, max_generations: 4, temperature_k: 200}, md: {ring_size: 9}}')
    words = '--set sis.replicas=5 --set dp.learning_rate.start_lr=1e-3 --set train.force_rmse_max=null'
    result = typed(
        water, '--overrides', 'changes.yaml', *words.split(), '--temperature', '250', '--length', '4', '--seed', '7',
        '--charge', '1', '--multiplicity', '2', '--name', 'cation', '--ranks', '2', '--no-wait',
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (builder,) = submitted
    settings = builder.parameters.get_dict()
    assert (settings['replicas'], settings['max_generations'], settings['temperature_k']) == (5, 4, 250.0)
    assert [stage['length_ps'] for stage in settings['stages']] == [4.0, 4.0]
    assert builder.train.train.parameters['learning_rate']['start_lr'] == 1e-3
    assert 'force_rmse_max' not in builder.train
    assert builder.explore.md.parameters['ring_size'] == 9
    dft = builder.label.cp2k.cp2k.parameters['FORCE_EVAL']['DFT']
    assert (dft['CHARGE'], dft['MULTIPLICITY'], dft['UKS']) == (1, 2, True)
    options = builder.label.cp2k.cp2k.metadata.options
    assert (options.resources['num_mpiprocs_per_machine'], options.withmpi) == (2, True)
    assert builder.seed.value == 7
    assert builder.metadata.label == 'cation'
    assert builder.systems['cation'].label == 'my-water.xyz'
    assert re.search(r'Submitted run \d+; `aiida-sis watch \d+ -p ', result.output)


def test_crystal_and_slab(stand_in_codes: Codes, tmp_path: Path, submitted: list[Any]) -> None:
    """A CIF keeps its cell; a slab without a vector gets vacuum, and what it holds stays held."""
    write(tmp_path / 'LiF.cif', bulk('LiF', 'rocksalt', a=4.03, cubic=True))
    small = typed(str(tmp_path / 'LiF.cif'), '--dry-run')
    assert said(small)['cell'] == ['4.03 × 4.03 × 4.03 Å, periodic']
    assert 'the cell is 4.03 Å thick' in small.output
    large = typed(str(tmp_path / 'LiF.cif'), '--repeat', '2', '2', '2', '--dry-run')
    assert said(large)['system'] == ['LiF: 64 atoms, F32Li32']
    assert 'Å thick' not in large.output
    slab = bcc100('Li', (2, 2, 4), a=3.44)
    slab.set_constraint(FixAtoms([12, 13]))
    slab.info.clear()
    write(tmp_path / 'slab.extxyz', slab)
    rows = said(typed(str(tmp_path / 'slab.extxyz'), '--no-wait'))
    assert rows['box'][0].endswith('8 Å of vacuum in the direction without a cell vector')
    assert rows['fixed'] == ['12, 13']
    (builder,) = submitted
    assert builder.parameters['systems']['slab']['fixed_atoms'] == [12, 13]
    assert builder.systems['slab'].cell[2] == pytest.approx([0.0, 0.0, 1.5 * 3.44 + 8.0])


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (('nothing.xyz',), 'There is no file nothing.xyz'),
        (('my-water.xyz', '--protocol', 'dmo'), "did you mean 'demo'"),
        (('my-water.xyz', '--protocol', 'rehearsal'), 'choose another, such as fast'),
        (('my-water.xyz', '--set', 'sis.replicas'), "write 'sis.replicas=4', say"),
        (('my-water.xyz', '--set', 'sis.replicas=[1'), 'has a value that is no YAML'),
        (('my-water.xyz', '--set', 'sis.replicaz=3'), "did you mean 'replicas'"),
        (('my-water.xyz', '--set', 'sis.replicas=many'), 'give a whole number'),
        (('my-water.xyz', '--set', 'sis=3'), "'sis' is 3, but it must be a dictionary"),
        (('my-water.xyz', '--charge', '1'), 'On the command line: --multiplicity 2, or --charge'),
        (('my-water.xyz', '--multiplicity', '2'), 'do not go together'),
        (('my-water.xyz', '--name', 'my water'), "such as 'my_water'"),
        (('my-water.xyz', '--cell', '.4', '9', '9'), 'atoms lie on their own images'),
        (('my-water.xyz', '--index', '3'), 'has no frame 3'),
        (('my-water.xyz', '--length', '-1'), '-1'),
        (('my-water.xyz', '--overrides', 'list.yaml'), 'write it with the layout of the protocol'),
        (('my-water.xyz', '--set', 'sis.stages=[{name: a, window_k: [250, 350], length_ps: 1}]'), 'is narrower than'),
    ],
)
def test_refused_before_anything_is_submitted(
    words: tuple[str, ...], sentence: str, stand_in_codes: Codes, water: str, submitted: list[Any]
) -> None:
    """One sentence for each."""
    Path('list.yaml').write_text('[1, 2]')
    result = typed(*words, '--no-wait')
    assert result.exit_code != 0
    assert sentence in ' '.join(result.output.split())
    assert not submitted


def test_codes_must_be_named_in_a_profile_of_ones_own(aiida_profile_clean: Any, water: str) -> None:
    """What the setup makes belongs to the isolated profile."""
    result = CliRunner().invoke(main, ['run', water, '-p', str(get_config().default_profile_name)])
    assert result.exit_code == 2
    assert '--cp2k is missing' in result.output
