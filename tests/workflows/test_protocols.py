"""The protocols for the paper's systems: every section is accepted by what reads it, alone and together."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm
from ase import Atoms

from aiida_sis.core.cp2k.electrons import check_electrons
from aiida_sis.core.cp2k.input import check_elements, check_level_of_theory
from aiida_sis.core.overlay import merge
from aiida_sis.core.settings.label import check_label_parameters, read_label_settings
from aiida_sis.core.settings.sis import read_settings
from aiida_sis.structures.build import build
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.protocols import load_protocol
from aiida_sis.workflows.sis import SisWorkChain

PAPER_PROTOCOLS = ('fast', 'moderate', 'paper')
ELEMENTS = ('N', 'S', 'O', 'F', 'Li', 'C', 'H')
BUILDERS = {
    'lithium': ('bulk', {'n_atoms': 91, 'cell_angstrom': 13.0}),
    'electrolyte': ('electrolyte', {'n_lifsi': 1, 'n_dol': 21, 'cell_angstrom': 15.0}),
    'interface': ('interface', {'n_lifsi': 1, 'n_dol': 13, 'cell_z_angstrom': 26.725}),
}


@pytest.fixture(scope='module')
def atoms() -> dict[str, Atoms]:
    """The paper's three systems."""
    return {name: build(kind, parameters, seed=1).atoms for name, (kind, parameters) in BUILDERS.items()}


@pytest.fixture
def structures(atoms: dict[str, Atoms]) -> dict[str, orm.StructureData]:
    """The same as nodes."""
    return {name: orm.StructureData(ase=system) for name, system in atoms.items()}


@pytest.mark.parametrize('protocol', PAPER_PROTOCOLS)
def test_slabs_of_the_protocols(protocol: str) -> None:
    """91 lithium atoms have an odd number of electrons, which the system `lithium` of each protocol is made for."""
    values = load_protocol(protocol)
    lithium = merge(values['cp2k'], values['sis']['systems']['lithium']['cp2k'])
    assert check_electrons(lithium, ['Li'] * 91) is None
    spinless = merge(lithium, {'FORCE_EVAL': {'DFT': {'UKS': False, 'SCF': {'SMEAR': {'_': 'OFF'}}}}})
    assert 'UKS' in str(check_electrons(spinless, ['Li'] * 91))


def accepted(builder: Any) -> None:
    """Let the workchain check its inputs."""
    problem = SisWorkChain.spec().inputs.validate(dict(builder))
    assert problem is None, problem.message


def test_the_section_train_reaches_its_ports(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """The budget goes to every job, the rest to the workchain around them."""
    train = {'budget': {'core_minutes': 20}, 'max_extensions': 3, 'min_improvement': 0.2}
    builder = SisWorkChain.get_builder_from_protocol(
        stand_in_codes, {'ion_pair': lifsi_ion_pair()}, overrides={'train': train}
    )
    assert builder.train.train.settings.get_dict() == {'compress': False, 'budget': {'core_minutes': 20}}
    assert (builder.train.max_extensions.value, builder.train.min_improvement.value) == (3, 0.2)
    accepted(builder)


def level_of_theory(protocol: str, system: str) -> dict[str, Any]:
    """Give the level of theory that a run takes for one system."""
    values = load_protocol(protocol)
    return merge(values['cp2k'], read_settings(values['sis']).system(system).cp2k)


@pytest.mark.parametrize('protocol', PAPER_PROTOCOLS)
def test_three_systems_together(
    protocol: str, stand_in_codes: dict[str, orm.InstalledCode], structures: dict[str, orm.StructureData]
) -> None:
    """The interface with both bulks as support passes every check; no share is lost."""
    builder = SisWorkChain.get_builder_from_protocol(
        stand_in_codes,
        {'interface': structures['interface']},
        protocol=protocol,
        supporting={name: structures[name] for name in ('lithium', 'electrolyte')},
    )
    accepted(builder)
    shares = {name: own['share'] for name, own in builder.parameters['systems'].items()}
    assert set(shares) == set(BUILDERS)
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-12)
    assert shares['lithium'] + shares['electrolyte'] == pytest.approx(5000 / 9500, abs=5e-4), 'the paper says 52.6 %'
    assert 0 < max(builder.train.train.parameters['model']['descriptor']['sel']) < 150


@pytest.mark.parametrize('protocol', PAPER_PROTOCOLS)
@pytest.mark.parametrize('name', sorted(BUILDERS))
def test_one_system_alone(
    protocol: str,
    name: str,
    stand_in_codes: dict[str, orm.InstalledCode],
    structures: dict[str, orm.StructureData],
) -> None:
    """What the protocol says of the other systems doesn't stand in the way of a run with one.

    91 atoms of lithium leave [200, 500] K by chance alone: the sole system of a run takes a wider window.
    """
    wide = [{'name': 'wide', 'window_k': [100.0, 700.0], 'length_ps': 100.0}]
    overrides = {'sis': {'stages': wide}} if name == 'lithium' else {}
    builder = SisWorkChain.get_builder_from_protocol(
        stand_in_codes, {name: structures[name]}, protocol=protocol, overrides=overrides
    )
    accepted(builder)
    assert set(builder.parameters['systems']) == {name}


def test_reactive_cluster(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """The protocol of the cluster accepts the cluster that the package builds."""
    cluster = orm.StructureData(ase=build('cluster', {}, seed=1).atoms)
    accepted(SisWorkChain.get_builder_from_protocol(stand_in_codes, {'cluster': cluster}, protocol='reactive'))


@pytest.mark.parametrize('protocol', PAPER_PROTOCOLS)
@pytest.mark.parametrize('system', sorted(BUILDERS))
def test_every_element_has_its_parameters(protocol: str, system: str) -> None:
    """A system may gain elements of the others: products and impurities are looked at with the same labels."""
    tree = level_of_theory(protocol, system)
    assert check_level_of_theory(tree) is None
    assert check_elements(tree, ELEMENTS) is None


@pytest.mark.parametrize('protocol', PAPER_PROTOCOLS)
@pytest.mark.parametrize('system', sorted(BUILDERS))
def test_one_way_to_occupy_orbitals(protocol: str, system: str) -> None:
    """Orbital transformation and smearing exclude each other in CP2K, whose syntax check accepts both."""
    scf = level_of_theory(protocol, system)['FORCE_EVAL']['DFT']['SCF']

    def is_on(name: str) -> bool:
        return name in scf and scf[name].get('_', 'ON') != 'OFF'

    assert is_on('OT') != is_on('DIAGONALIZATION') or not (is_on('OT') or is_on('SMEAR'))
    assert is_on('OT') != is_on('SMEAR')
    assert not is_on('OT') or scf.get('ADDED_MOS', 0) == 0
    assert not is_on('SMEAR') or scf['ADDED_MOS'] > 0


@pytest.mark.parametrize('protocol', PAPER_PROTOCOLS)
def test_odd_number_of_electrons(protocol: str) -> None:
    """91 lithium atoms: CP2K stops at once without UKS."""
    assert level_of_theory(protocol, 'lithium')['FORCE_EVAL']['DFT']['UKS'] is True


@pytest.mark.parametrize('protocol', PAPER_PROTOCOLS)
def test_ewald_of_xtb_is_converged(protocol: str, atoms: dict[str, Atoms]) -> None:
    """Spacing of the grid over the splitting length: 0.4 gave 4e-6 Ha on the interface, 0.8 hundreds of Ha."""
    dft = load_protocol(protocol)['cp2k']['FORCE_EVAL']['DFT']
    if dft['QS'].get('METHOD') != 'XTB':
        assert 'VDW_POTENTIAL' in dft['XC'], 'the dispersion of PBE-D3'
        return
    ewald = dft['POISSON']['EWALD']
    for system in atoms.values():
        assert ewald['ALPHA'] * system.cell.lengths().max() / ewald['GMAX'] < 0.4


@pytest.mark.parametrize('protocol', [*PAPER_PROTOCOLS, 'reactive'])
def test_lengths_are_whole_numbers_of_steps(protocol: str) -> None:
    """Each AIMD is as long as it says."""
    values = load_protocol(protocol)
    assert check_label_parameters(values['label']) is None
    label, settings = read_label_settings(values['label']), read_settings(values['sis'])
    for name in settings.systems:
        own = settings.system(name)
        for length in (own.initial_length_fs, own.label_length_fs or label.length_fs):
            assert length is not None
            assert round(length / label.timestep_fs) * label.timestep_fs == pytest.approx(length)


def test_paper_is_the_paper() -> None:
    """What the paper says in numbers is what the protocol holds."""
    values = load_protocol('paper')
    settings, label = read_settings(values['sis']), read_label_settings(values['label'])
    assert [stage.window_k for stage in settings.stages] == [(0.0, 1000.0), (200.0, 500.0)]
    assert settings.stages[-1].length_ps == 10_000.0
    assert settings.temperature_k == 300.0
    assert settings.system('electrolyte').initial_length_fs == 2500.0
    assert tuple(label.dataset.fractions) == (0.6, 0.2, 0.2)
    assert label.dataset.split == 'shuffled'
    assert values['dp']['model']['descriptor']['type'] == 'se_e2_a'
    assert values['dp']['model']['descriptor']['rcut'] == 6.0
    assert values['md']['minimise'] == {'enabled': True, 'etol': 1e-4, 'ftol': 1e-6, 'maxiter': 1000}
    assert values['md']['trajectory_interval_ps'] == 1.0
    assert 0 < settings.learning.lr_decay < 1, 'the learning rate decreases with the generations'


@pytest.mark.parametrize('protocol', ['demo', 'dimer', 'fast', 'moderate', 'paper', 'reactive'])
def test_every_scf_has_an_outer_loop(protocol: str) -> None:
    """CP2K from 2024.1 on aborts at the first SCF that does not converge, so each has a second chance as strict."""
    for system in BUILDERS:
        scf = level_of_theory(protocol, system)['FORCE_EVAL']['DFT']['SCF']
        assert scf['OUTER_SCF']['MAX_SCF'] >= 3
        assert float(scf['OUTER_SCF']['EPS_SCF']) == float(scf['EPS_SCF'])


def test_a_radical_is_refused(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """It is refused before anything is submitted, and accepted with the remedy that the sentence names."""
    systems = {'cation': lifsi_ion_pair()}
    charged = {'cp2k': {'FORCE_EVAL': {'DFT': {'CHARGE': 1}}}}
    builder = SisWorkChain.get_builder_from_protocol(stand_in_codes, systems, protocol='demo', overrides=charged)
    problem = SisWorkChain.spec().inputs.validate(dict(builder))
    assert problem is not None
    assert "The system 'cation' cannot be labelled: The level of theory has an odd number" in problem.message
    assert 'set UKS true in FORCE_EVAL/DFT' in problem.message
    spin = {'cp2k': {'FORCE_EVAL': {'DFT': {'CHARGE': 1, 'UKS': True}}}}
    accepted(SisWorkChain.get_builder_from_protocol(stand_in_codes, systems, protocol='demo', overrides=spin))
