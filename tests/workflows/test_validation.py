"""Bad input is refused before anything is submitted, in one sentence that names the input, the value and the remedy."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from aiida import orm
from aiida.common.constants import elements
from aiida.common.links import LinkType
from ase import Atoms
from ase.build import molecule
from ase.data import atomic_masses
from plumpy.process_states import ProcessState

from aiida_deepmd.data.potential import PotentialData
from aiida_sis.core.start_structure import check_masses
from aiida_sis.structures.demo import lif_dimer, lifsi_ion_pair
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.protocols import _keep_systems, list_protocols, load_protocol
from aiida_sis.workflows.rehearsal import RehearsalWorkChain
from aiida_sis.workflows.sis import SisWorkChain
from aiida_sis.workflows.validation import check_inputs_names

TYPE_MAP = ['N', 'S', 'O', 'F', 'Li']


def refusal(codes: dict[str, orm.InstalledCode], system: orm.StructureData | None = None, **arguments: Any) -> str:
    """Give the sentence with which the inputs are refused."""
    try:
        builder = SisWorkChain.get_builder_from_protocol(codes, {'system': system or lifsi_ion_pair()}, **arguments)
    except ValueError as error:
        return str(error)
    problem = SisWorkChain.spec().inputs.validate(dict(builder))
    assert problem is not None, 'nothing was refused'
    return str(problem.message)


@pytest.mark.parametrize('protocol', ['demo', 'dimer'])
def test_protocols_are_accepted(protocol: str, stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """Every protocol passes its own checks on its own system."""
    system = lifsi_ion_pair() if protocol == 'demo' else lif_dimer()
    builder = SisWorkChain.get_builder_from_protocol(stand_in_codes, {'system': system}, protocol=protocol)
    assert SisWorkChain.spec().inputs.validate(dict(builder)) is None


def test_every_protocol_has_a_description() -> None:
    """The command line shows them."""
    assert all(description.strip() for description in list_protocols().values())


@pytest.mark.parametrize(
    ('overrides', 'words'),
    [
        ({'siss': {}}, ("'siss'", "'sis'")),
        ({'dp': {'learning_rate': {'stop_lr': None, 'stop_lr_ratio': 1e-3}}}, ('stop_lr` is missing', '(1e-05)')),
        ({'cp2k': {'MOTION': {'PRINT': {'TRAJECTORY': {'UNIT': 'bohr'}}}}}, ('TRAJECTORY/UNIT', 'leave it out')),
        ({'cp2k': {'FORCE_EVAL': {'SUBSYS': {'CELL': {'PERIODIC': 'NONE'}}}}}, ('CELL/PERIODIC', 'leave it out')),
        ({'sis': {'replicas': 0}}, ("'replicas'", '0')),
        ({'label': {'timestep_fs': 0.0}}, ('timestep_fs', '0')),
        ({'label': {'length_fs': -1.0}}, ('length_fs', '-1')),
        ({'label': {'lenght_fs': 10.0}}, ('lenght_fs', 'length_fs')),
        ({'md': {'timestep_fs': -1.0}}, ('timestep_fs', '-1')),
        ({'md': {'ring_sise': 10}}, ('ring_sise', 'ring_size')),
        ({'sis': {'stages': [{'name': 'a', 'window_k': [200, 500], 'length_ps': 1.0}]}}, ('200', '500', '300')),
        ({'sis': {'stages': [{'name': 'a', 'window_k': [400, 2000], 'length_ps': 1.0}]}}, ('400', '300')),
        ({'sis': {'stages': [{'name': 'a', 'window_k': [0, 2000], 'length_ps': 0.0}]}}, ('length_ps', '0')),
        ({'md': {'grace_ps': 3.0}}, ('grace_ps', '3')),
        ({'md': {'length_ps': 3.0}}, ('md.length_ps', "'sis'")),
        ({'label': {'temperature_k': 500.0}}, ('label.temperature_k', "'sis'")),
        ({'train': {'max_extension': 3}}, ("'max_extension' of the overrides of 'train'", 'max_extensions')),
        ({'dp': {'training': {'numb_steps': 0}}}, ('numb_steps', '0')),
        ({'dp': {'trainingg': {}}}, ('trainingg',)),
        ({'dp': {'loss': {'loss_func': 'mae'}}}, ('loss_func', "'mae'")),
        ({'dp': {'learning_rate': {'warmup_steps': 8000}}}, ('warmup_steps', '8000')),
        ({'train': {'settings': {'compres': True}}}, ('compres', 'compress')),
        (
            {'train': {'settings': {'compress': True}}, 'dp': {'model': {'descriptor': {'resnet_dt': True}}}},
            ('resnet',),
        ),
        ({'sis': {'learning': {'fine_tune_lr': 1e-6}}}, ('fine_tune_lr', '1e-06', 'below the 1e-05', 'stop_lr')),
        ({'sis': {'learning': {'loss_by_generation': {5: {'start_pref_v': 1.0}}}}}, ('start_pref_v', 'virials')),
        ({'sis': {'learning': {'fine_tune_loss': {'start_pref_ff': 1.0}}}}, ('start_pref_ff',)),
    ],
)
def test_overrides(
    overrides: dict[str, Any], words: tuple[str, ...], stand_in_codes: dict[str, orm.InstalledCode]
) -> None:
    """Windows, lengths, timesteps and keys."""
    message = refusal(stand_in_codes, overrides=overrides)
    for word in words:
        assert word in message, message


def test_unknown_protocol(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """The nearest protocol is named."""
    assert "'demo'" in refusal(stand_in_codes, protocol='dmo')


def test_element_without_basis_set(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """The dimer's protocol has no basis set for hydrogen, oxygen."""
    atoms = molecule('H2O', vacuum=4.0)
    atoms.pbc = True
    message = refusal(stand_in_codes, orm.StructureData(ase=atoms), protocol='dimer')
    assert "'system'" in message
    assert 'H' in message


def test_element_that_the_type_map_lacks(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """The order of the elements is fixed for a whole run."""
    message = refusal(stand_in_codes, overrides={'dp': {'model': {'type_map': ['Li', 'F']}}})
    assert 'type_map' in message
    assert 'N' in message


def test_code_of_the_wrong_kind(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """Two codes that were swapped."""
    swapped = stand_in_codes | {'dp': stand_in_codes['lmp'], 'lmp': stand_in_codes['dp']}
    message = refusal(swapped)
    assert 'sis.lammps.md' in message
    assert 'deepmd.train' in message


def test_code_that_is_missing(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """All three are needed."""
    assert 'lmp' in refusal({key: code for key, code in stand_in_codes.items() if key != 'lmp'})


def test_overrides_replace_values_and_keep_the_rest() -> None:
    """A nested value is replaced, its neighbours stay."""
    values = load_protocol('demo', {'sis': {'learning': {'lr_decay': 0.5}}})
    assert values['sis']['learning'] == {'lr_decay': 0.5, 'fine_tune_steps': 1500, 'fine_tune_lr': 5e-3}


def test_structure_that_is_not_periodic(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """What ASE's molecules are: LAMMPS would refuse it only after the first AIMD and training."""
    atoms = lifsi_ion_pair().get_ase()
    atoms.pbc = False
    assert 'periodic' in refusal(stand_in_codes, orm.StructureData(ase=atoms))


def test_the_masses_of_every_table_pass() -> None:
    """Those of ASE and of AiiDA differ in the last digits, for elements without a stable isotope in more."""
    for number, row in elements.items():
        if number:
            assert check_masses([row['symbol']], [row['mass']]) is None, row
            assert check_masses([row['symbol']], [atomic_masses[number]]) is None, row


@pytest.mark.parametrize(('supporting'), [False, True])
def test_structures_that_no_run_can_use(supporting: bool, stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """Explored or labelled only: one atom, open directions, atoms on top of each other, isotopes."""
    plain = lifsi_ion_pair().get_ase()
    single, slab, near, heavy = Atoms('Li', cell=plain.cell, pbc=True), plain.copy(), plain.copy(), plain.copy()
    slab.pbc = (True, True, False)
    near.positions[1] = near.positions[0] + [0.0, 0.0, 0.01]
    masses = heavy.get_masses()
    masses[heavy.get_chemical_symbols().index('Li')] = 6.015
    heavy.set_masses(masses)
    for atoms, words in (
        (single, 'has one atom: give at least two'),
        (slab, 'set pbc to (True, True, True)'),
        (near, 'are 0.01 Å apart'),
        (heavy, 'Li has the mass 6.015 u'),
    ):
        node = orm.StructureData(ase=atoms)
        if supporting:
            message = refusal(stand_in_codes, supporting={'bulk': node})
        else:
            message = refusal(stand_in_codes, node, overrides={'dp': {'model': {'type_map': TYPE_MAP}}})
        assert words in message, message
        assert ("'bulk'" if supporting else "'system'") in message
        assert 'fixed_atoms' not in message


def test_a_start_that_an_optimisation_mends(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """Atoms too near for an AIMD are taken where they are optimised first, and refused where they are not."""
    atoms = lifsi_ion_pair().get_ase()
    symbols = atoms.get_chemical_symbols()
    # Li and F at half of the sum of their covalent radii.
    atoms.positions[symbols.index('Li')] = atoms.positions[symbols.index('F')] + [0.0, 0.0, -0.92]
    node = orm.StructureData(ase=atoms)
    for own in ({}, {'systems': {'system': {'optimise_first': False}}}):
        message = refusal(stand_in_codes, node, overrides={'sis': {'optimise_first': False, **own}})
        assert 'Å apart' in message
        # The remedy that it names.
        assert 'Or set `parameters.systems.system.optimise_first` to true.' in message
    mended = {'sis': {'optimise_first': False, 'systems': {'system': {'optimise_first': True}}}}
    builder = SisWorkChain.get_builder_from_protocol(stand_in_codes, {'system': node}, overrides=mended)
    assert SisWorkChain.spec().inputs.validate(dict(builder)) is None


@pytest.mark.parametrize('name', ['Li-slab', 'a.b', 'électrolyte', '_x', 'a__b', 'ion pair', 'a;b', '../x', 'x' * 300])
def test_names_are_refused_before_submission(name: str, stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """By the builder of a protocol, by the validation of a run, and by that of a rehearsal."""
    pair = lifsi_ion_pair()
    for role in ('systems', 'supporting'):
        given = {'systems': {'pair': pair}, role: {name: pair}}
        with pytest.raises(ValueError, match=r'system name .* is not possible'):
            SisWorkChain.get_builder_from_protocol(stand_in_codes, **given)
        with pytest.raises(ValueError, match=r'system name .* is not possible'):
            RehearsalWorkChain.get_builder_from_protocol(stand_in_codes, **given, protocol='demo')
    builder = SisWorkChain.get_builder_from_protocol(stand_in_codes, {'pair': pair})
    inputs = dict(builder) | {'systems': {name: pair}}
    problem = SisWorkChain.spec().inputs.validate(inputs)
    assert problem is not None
    assert 'is not possible: take letters' in str(problem.message)
    problem = RehearsalWorkChain.spec().inputs.validate({'sis': inputs})
    assert problem is not None
    assert 'is not possible: take letters' in str(problem.message)


def test_names_of_datasets(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """They become labels too."""
    builder = SisWorkChain.get_builder_from_protocol(stand_in_codes, {'pair': lifsi_ion_pair()})
    problem = check_inputs_names(dict(builder) | {'datasets': {'my data': None}})
    assert problem is not None
    assert "The dataset name 'my data' is not possible" in problem


def test_a_label_refuses_isotopes() -> None:
    """Alone too, not only within a run."""
    atoms = lifsi_ion_pair().get_ase()
    atoms.set_masses([2.0 * mass for mass in atoms.get_masses()])
    port = LabelWorkChain.spec().inputs['structure']
    problem = port.validate(orm.StructureData(ase=atoms))
    assert problem is not None
    assert 'leave the mass out' in str(problem.message)
    assert port.validate(lifsi_ion_pair()) is None


def test_negative_seed(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """Seeds are derived from it, which needs a natural number."""
    assert '-1' in refusal(stand_in_codes, seed=-1)


def test_ranks_turn_mpi_on_for_all_but_the_training(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """Eight ranks without MPI would be one process on eight cores; eight trainings would share one folder."""
    options = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 8}}
    builder = SisWorkChain.get_builder_from_protocol(stand_in_codes, {'system': lifsi_ion_pair()}, options=options)
    assert builder.label.cp2k.cp2k.metadata.options.withmpi is True
    assert builder.train.train.metadata.options.withmpi is False
    assert 'withmpi' in refusal(stand_in_codes, options={'dp': {'withmpi': True}})


def test_clock_stands_nearest_to_the_code(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """The user's own commands stay."""
    builder = SisWorkChain.get_builder_from_protocol(
        stand_in_codes,
        {'system': lifsi_ion_pair()},
        options={'prepend_text': 'module load all', 'append_text': 'rm big'},
    )
    options = builder.explore.md.metadata.options
    assert options.prepend_text.splitlines()[0] == 'module load all'
    assert options.append_text.splitlines()[1] == 'rm big'


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'systems': {'system': {'share': 0.6}, 'bulk': {'share': 0.6}}}, ('1.2', 'sum to 1')),
        ({'systems': {'system': {'share': 1.0}}}, ("'bulk'", 'share')),
        ({'systems': {'sytem': {'replicas': 2}}}, ("'systems.sytem'", "'system'")),
        ({'systems': {'bulk': {'fixed_atoms': [10]}}}, ('bulk.fixed_atoms', '10', '0 to 9')),
        ({'systems': {'bulk': {'fixed_atoms': list(range(9))}}}, ('bulk.fixed_atoms', 'fewer')),
        (
            {
                'systems': {'system': {'temperatures_k': [300.0, 2000.0]}},
                'stages': [{'name': 'given', 'window_k': [0.0, 1000.0], 'length_ps': 2.0}],
            },
            ("'system'", '2000'),
        ),
        ({'start': 'explore'}, ("'explore'", 'potential')),
        ({'initial_labels': 0}, ('initial_labels', 'nothing to train on')),
        ({'sampling': {'strategy': 'dpgen'}}, ('sampling.strategy', 'committee')),
    ],
)
def test_roles_and_shares(
    settings: dict[str, Any], words: tuple[str, ...], stand_in_codes: dict[str, orm.InstalledCode]
) -> None:
    """An explored system with a supporting one beside it."""
    message = refusal(stand_in_codes, overrides={'sis': settings}, supporting={'bulk': lifsi_ion_pair()})
    for word in words:
        assert word in message, message


def test_potential_of_another_network(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """The training would refuse it, after the first AIMD."""
    type_map = ['F', 'Li', 'N', 'O', 'S']
    facts = {'files': {'model.pb': b'graph'}, 'type_map': type_map, 'descriptor': 'se_e2_a'}
    other = PotentialData(**facts, rcut=4.5)
    assert 'was trained with 4.5 Å' in refusal(stand_in_codes, potential=other)
    compressed = PotentialData(**facts, compressed=True)
    assert 'give the frozen one' in refusal(stand_in_codes, potential=compressed)
    finetune = {'sis': {'learning': {'pretrained': 'finetune'}}}
    fitting = PotentialData(**facts)
    assert "use 'continue'" in refusal(stand_in_codes, potential=fitting, overrides=finetune)


def test_a_loss_that_cannot_leave_fixed_atoms_out(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    overrides = {'sis': {'systems': {'system': {'fixed_atoms': [0]}}}, 'dp': {'loss': {'use_huber': True}}}
    assert 'use_huber' in refusal(stand_in_codes, overrides=overrides)
    overrides['sis']['learning'] = {'mask_fixed_atoms': False}
    builder = SisWorkChain.get_builder_from_protocol(stand_in_codes, {'system': lifsi_ion_pair()}, overrides=overrides)
    assert SisWorkChain.spec().inputs.validate(dict(builder)) is None


def test_roles_that_leave_nothing_to_explore(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """Supporting systems alone are data without a question."""
    with pytest.raises(ValueError, match=r'nothing to explore'):
        SisWorkChain.get_builder_from_protocol(stand_in_codes, {}, supporting={'bulk': lifsi_ion_pair()})


def test_system_with_two_roles(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """It would be labelled twice."""
    assert 'one role' in refusal(stand_in_codes, supporting={'system': lifsi_ion_pair()})


def test_shares_of_a_protocol_are_scaled_to_the_systems_that_are_there(
    stand_in_codes: dict[str, orm.InstalledCode],
) -> None:
    """What a protocol says of a system that the run lacks is left out."""
    shares = {'a': {'share': 0.5}, 'b': {'share': 0.25}, 'c': {'share': 0.25}}
    sis = {'systems': copy.deepcopy(shares)}
    _keep_systems(sis, {'a', 'b'}, {})
    assert sis['systems'] == {'a': {'share': pytest.approx(2 / 3)}, 'b': {'share': pytest.approx(1 / 3)}}
    sis = {'systems': copy.deepcopy(shares)}
    _keep_systems(sis, {'a', 'other'}, {})
    assert sis['systems'] == {'a': {}}


def test_a_run_without_a_potential_to_continue_from(stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """Waiting helps only while it goes on."""
    run = orm.WorkChainNode()
    settings = orm.Dict({'stages': [{'name': 'a', 'window_k': 'auto', 'length_ps': 1.0}], 'initial_length_fs': 10.0})
    run.base.links.add_incoming(settings.store(), LinkType.INPUT_WORK, 'parameters')
    run.base.links.add_incoming(lifsi_ion_pair().store(), LinkType.INPUT_WORK, 'systems__pair')
    run.store()
    run.set_process_label('SisWorkChain')
    for state, words in (
        (ProcessState.RUNNING, 'wait for it to end'),
        (ProcessState.FINISHED, f'`aiida-sis continue {run.pk}` labels and trains what it lacks'),
    ):
        run.set_process_state(state)
        assert words in refusal(stand_in_codes, continue_from=run)
