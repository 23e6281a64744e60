"""What a builder is given: refused in one sentence whose remedy works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiida import orm
from ase import Atoms
from ase.build import bulk, molecule

from aiida_sis.core.settings.sis import read_settings
from aiida_sis.structures.demo import lifsi_ion_pair, rehearsal_systems
from aiida_sis.workflows.hybrid import HybridWorkChain
from aiida_sis.workflows.protocols import load_protocol
from aiida_sis.workflows.protocols.given import check_overrides, split_overrides
from aiida_sis.workflows.rehearsal import RehearsalWorkChain, validate_comparison
from aiida_sis.workflows.sis import SisWorkChain
from aiida_sis.workflows.validation import _check_dynamics

Codes = dict[str, orm.InstalledCode]


def problem(codes: Any, systems: Any = None, **arguments: Any) -> str | None:
    """Give the sentence with which the inputs are refused, or nothing where they are accepted."""
    try:
        builder = SisWorkChain.get_builder_from_protocol(codes, systems or {'pair': lifsi_ion_pair()}, **arguments)
    except ValueError as error:
        return str(error)
    found = SisWorkChain.spec().inputs.validate(builder._inputs(prune=True))
    return None if found is None else str(found.message)


@pytest.mark.parametrize(
    ('overrides', 'sentence'),
    [
        (['sis'], 'give a dictionary with the layout of the protocol'),
        ({'temperature_k': 400}, "it belongs into 'sis'"),
        ({'window_k': [0, 1000]}, "it belongs into 'sis.stages'"),
        ({'cycles': 3}, 'valid keys are cp2k, dp, label'),
        ({'sis.temperature_k': 400}, "{'sis': {'temperature_k': …}}"),
        ({'hybrid': {}}, 'it belongs to HybridWorkChain only'),
        ({'sis': None}, "The override 'sis' is None, but it must be a dictionary"),
        ({'sis': {'systems': ['pair']}}, "The override 'sis.systems' is ['pair'], but it must be a dictionary"),
        ({'sis': {'systems': {'pair': None}}}, "The override 'sis.systems.pair' is null"),
        ({'sis': {'systems': {'pair': 3}}}, "The override 'sis.systems.pair' is 3, but it must be a dictionary"),
        (
            {'md': {'thermostat': 'csvr'}},
            "'md.thermostat' is 'csvr', but it must be a dictionary; the protocol's has style",
        ),
        ({'md': {'minimise': False}}, "the protocol's has enabled"),
        ({'md': {1: 2}}, "The key 1 of the overrides ('md') is no text"),
        ({'dp': {'model': {'descriptor': 'se_e2_a'}}}, "'dp.model.descriptor' is 'se_e2_a'"),
        ({'md': {'elapsed_ps': 1.0}}, "'md.elapsed_ps' has no effect: the run sets it"),
        (
            {'md': {'fixed_atoms': [0]}},
            "'md.fixed_atoms' has no effect: set fixed_atoms of the system in 'sis.systems'",
        ),
        ({'md': {'deviation': {}}}, "set strategy: committee and its trust_levels in 'sis.sampling'"),
        ({'label': {'fixed_atoms': [0]}}, "'label.fixed_atoms' has no effect"),
        (
            {'train': {'force_rmse_max': '0.15'}},
            "'force_rmse_max' in the overrides of 'train' is not valid: give a number",
        ),
        ({'train': {'force_rmse_max': float('nan')}}, 'give a finite number'),
        ({'train': {'max_extensions': 1.5}}, 'give a whole number'),
        ({'train': {'budget': {'core_minutes': 0}}}, "'budget.core_minutes' in the overrides of 'train'"),
        ({'train': {'settings': {'budget': {'core_minutes': 9}}}}, 'has no effect: set train.budget'),
        ({'train': {'settings': {'compres': True}}}, "did you mean 'compress'"),
        ({'train': {'settings': {'compress': 'yes'}}}, 'true or false'),
        ({'train': {'settings': {'weights': {}}}}, "set the share of every system in 'sis.systems'"),
        ({'cp2k': {'force_eval': {}}}, "'cp2k.force_eval' must be in capitals"),
        ({'cp2k': {'FORCE_EVAL': {'DFT': {'SCF': {'max_scf': 9}}}}}, 'MAX_SCF'),
        ({'cp2k': {'FORCE_EVALL': {}}}, "did you mean 'FORCE_EVAL'"),
        ({'cp2k': {'GLOBAL': {'RUN_TYPE': 'ENERGY'}}}, "'cp2k.GLOBAL.RUN_TYPE' has no effect"),
        ({'cp2k': {'FORCE_EVAL': None}}, "The override 'cp2k.FORCE_EVAL' is null"),
        (
            {'sis': {'systems': {'pair': {'cp2k': {'UKS': True}}}}},
            "'sis.systems.pair.cp2k.UKS' is no section at the top",
        ),
        ({'sis': {'systems': {'pair': {'cp2k': {'FORCE_EVAL': 'x'}}}}}, "'sis.systems.pair.cp2k.FORCE_EVAL' is 'x'"),
    ],
)
def test_overrides_that_cannot_be_meant(overrides: Any, sentence: str) -> None:
    """Each names its place in the overrides."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is compared as it stands
        check_overrides(overrides, load_protocol('demo'))
    assert sentence in str(caught.value)
    assert '\n' not in str(caught.value)


def test_what_the_sentences_say_is_accepted(stand_in_codes: Codes) -> None:
    """Every remedy of the table above, followed to the letter."""
    overrides = {
        'sis': {
            'temperature_k': 310.0,
            'stages': [{'name': 'only', 'window_k': [0, 1500], 'length_ps': 1.0}],
            'learning': {'mask_fixed_atoms': False, 'pretrained': 'continue'},
            'sampling': {'strategy': 'committee', 'trust_levels': [0.1, 0.4]},
            'systems': {
                'pair': {
                    'fixed_atoms': [0],
                    'share': 1.0,
                    'temperatures_k': [310.0],
                    'cp2k': {'FORCE_EVAL': {'DFT': {'UKS': True}}},
                }
            },
        },
        'md': {'thermostat': {'style': 'csvr'}, 'minimise': {'enabled': False}},
        'train': {
            'budget': {'core_minutes': 20},
            'force_rmse_max': 0.15,
            'max_extensions': 0,
            'min_improvement': 0.2,
            'settings': {'compress': False},
        },
        'cp2k': {'FORCE_EVAL': {'DFT': {'SCF': {'MAX_SCF': 9}}}},
    }
    assert problem(stand_in_codes, overrides=overrides) is None


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'cp2k': 'nope@localhost'}, "There is no code 'nope@localhost'"),
        ({'cp2k': ''}, "The code cp2k is '': give a code, or its label such as cp2k@localhost"),
        ({'cp2k': None}, 'The code cp2k is None'),
        ({'cp2k': 12}, 'The code cp2k is 12'),
        ({'CP2K': 'cp2k@localhost'}, "The code key 'CP2K' is unknown: did you mean 'cp2k'"),
    ],
)
def test_codes(change: dict[str, Any], sentence: str, stand_in_codes: Codes) -> None:
    """A code that is not there, and what is no code."""
    assert sentence in (problem({**stand_in_codes, **change}) or '')


def test_codes_that_are_no_dictionary() -> None:
    """A list says nothing of which is which."""
    assert 'give a dictionary with a code or its label for cp2k, dp, lmp' in (problem(['cp2k', 'dp', 'lmp']) or '')


def test_code_that_is_not_clear(stand_in_codes: Codes, aiida_code_installed: Callable[..., orm.InstalledCode]) -> None:
    """After an import there are two codes of one label; the sentence names labels that work."""
    first = stand_in_codes['cp2k']
    assert first.computer is not None
    other = orm.Computer(
        label='elsewhere', hostname='elsewhere', transport_type='core.local', scheduler_type='core.direct'
    ).store()
    orm.InstalledCode(
        label=first.label, computer=other, filepath_executable='/bin/true', default_calc_job_plugin='cp2k'
    ).store()
    sentence = problem({**stand_in_codes, 'cp2k': first.label}) or ''
    assert sentence.startswith(f"There are several codes '{first.label}': give one of ")
    assert first.full_label in sentence
    assert f'{first.label}@elsewhere' in sentence
    assert problem({**stand_in_codes, 'cp2k': first.full_label}) is None


def _flat() -> orm.StructureData:
    node = orm.StructureData(cell=[[9, 0, 0], [0, 9, 0], [9, 9, 0]])
    node.append_atom(symbols='Li', position=(0, 0, 0))
    node.append_atom(symbols='F', position=(0, 0, 1.6))
    return node


def _alloy() -> orm.StructureData:
    node = orm.StructureData(cell=[[9, 0, 0], [0, 9, 0], [0, 0, 9]])
    node.append_atom(symbols=['Li', 'Na'], weights=[0.5, 0.5], position=(0, 0, 0))
    node.append_atom(symbols='F', position=(0, 0, 2))
    return node


@pytest.mark.parametrize(
    ('systems', 'sentence'),
    [
        (lifsi_ion_pair, 'give a dictionary of structures by name'),
        (lambda: {'pair': lifsi_ion_pair().get_ase()}, 'give `orm.StructureData(ase=atoms)`'),
        (lambda: {'pair': 5}, 'load it by `orm.load_node(5)`'),
        (lambda: {1: lifsi_ion_pair()}, 'the name 1, which is no text'),
        (lambda: {'pair': 'POSCAR'}, '`aiida-sis build` makes one'),
        (lambda: {'pair': orm.StructureData(cell=[[9, 0, 0], [0, 9, 0], [0, 0, 9]])}, 'has no atoms'),
        (lambda: {'pair': _flat()}, 'has no volume: give three independent cell vectors'),
        (lambda: {'pair': _alloy()}, 'shared by elements or partly empty'),
    ],
)
def test_systems(systems: Callable[[], Any], sentence: str, stand_in_codes: Codes) -> None:
    """Nodes of another kind, and structures of which nothing can be made."""
    assert sentence in (problem(stand_in_codes, systems()) or '')


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ({'seed': 1.5}, '`seed` is 1.5: give a whole number'),
        ({'seed': True}, '`seed` is True'),
        ({'seed': None}, '`seed` is None'),
        ({'seed': -1}, '`seed` is -1: give a whole number of at least 0'),
        ({'protocol': None}, "There is no protocol 'None': valid names are demo"),
        ({'support': {}}, "The argument 'support' is unknown: did you mean 'supporting'"),
        ({'continue_from': 171}, 'load it by `orm.load_node(171)`'),
        ({'potential': 'model.pb'}, '`aiida-sis import-model` makes one'),
        ({'datasets': [1]}, 'give a dictionary of datasets by name'),
        ({'datasets': {'x': 4}}, '`datasets.x` is 4, not a dataset'),
        ({'options': ['x']}, 'give a dictionary such as {"max_wallclock_seconds": 3600}'),
        ({'options': {'max_wallclock_second': 3}}, "did you mean 'max_wallclock_seconds'"),
        ({'options': {'max_wallclock_seconds': '1:00:00'}}, 'it must be a whole number'),
        ({'options': {'max_wallclock_seconds': 0}}, 'above 0'),
        ({'options': {'prepend_text': ['module load cp2k']}}, 'it must be text'),
        ({'options': {'resources': '4 cores'}}, 'it must be a dictionary'),
        ({'options': {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': '4'}}}, 'a whole number above 0'),
        ({'options': {'cp2k': None}}, 'of cp2k are None'),
        ({'options': {'deepmd': {}}}, "have the unknown option 'deepmd'"),
        ({'overrides': {'dp': {'model': {'type_map': 'F Li N O S'}}}}, "give a list of symbols such as ['Li', 'F']"),
        ({'overrides': {'dp': {'model': {'type_map': ['f', 'li', 'n', 'o', 's']}}}}, 'give a list of symbols'),
        ({'overrides': {'dp': {'model': {'descriptor': {'rcut': '6 Å'}}}}}, 'give a number above 0, in Å'),
        ({'overrides': {'sis': {'systems': {'pair': {'cp2k': 'x'}}}}}, 'give a dictionary of settings'),
        (
            {'overrides': {'md': {'ring_sise': 3}}},
            "In the section 'md': The key 'ring_sise' of the MD parameters is unknown",
        ),
        (
            {'overrides': {'sis': {'initial_length_fs': 0.4}}},
            "`initial_length_fs` of the system 'pair': `length_fs` of the label parameters is 0.4",
        ),
        (
            {'overrides': {'sis': {'systems': {'pair': {'label_length_fs': 0.1}}}}},
            "`label_length_fs` of the system 'pair'",
        ),
        ({'overrides': {'label': {'dataset': {'fractions': [1, 0, 0]}}}}, 'has no test frames'),
        ({'overrides': {'label': {'dataset': {'fractions': [0, 0.5, 0.5]}}}}, 'has no frames to train on'),
        ({'overrides': {'sis': {'initial_labels': 0}}}, 'give a dataset, or let a system or a structure in supporting'),
    ],
)
def test_arguments(arguments: dict[str, Any], sentence: str, stand_in_codes: Codes) -> None:
    """Everything else that a run is given."""
    found = problem(stand_in_codes, **arguments) or ''
    assert sentence in found
    assert 'invalid attribute value' not in found


def test_window_that_a_sentence_names_is_accepted(stand_in_codes: Codes) -> None:
    """A small system leaves [200, 500] K by chance; the narrowest window that is named passes."""
    arguments = {'systems': {'pair': lifsi_ion_pair()}, 'protocol': 'fast'}
    stage = {'name': 'only', 'window_k': [200.0, 500.0], 'length_ps': 100.0}
    sentence = problem(stand_in_codes, **arguments, overrides={'sis': {'stages': [stage]}}) or ''
    low, high = sentence.rpartition('[')[2].removesuffix('] K.').split(', ')
    stage['window_k'] = [float(low), float(high)]
    assert problem(stand_in_codes, **arguments, overrides={'sis': {'stages': [stage]}}) is None


@pytest.mark.parametrize('protocol', ['demo', 'fast', 'moderate', 'reactive'])
@pytest.mark.parametrize('atoms', [molecule('O2', vacuum=5.0, pbc=True), bulk('Na', cubic=True) * (6, 6, 6)])
def test_any_size_fits_a_protocol(protocol: str, atoms: Atoms) -> None:
    """Two atoms and 432: their windows differ, and no protocol refuses either."""
    structure = orm.StructureData(ase=atoms)
    settings = load_protocol(protocol)['sis']
    ports = {'parameters': orm.Dict(settings), 'systems': {'own': structure}}
    assert _check_dynamics(ports, read_settings(settings)) is None


def test_automatic_window_beyond_a_given_one(stand_in_codes: Codes) -> None:
    """One sentence that names the stage and a window that holds."""
    pair = orm.StructureData(ase=molecule('O2', vacuum=5.0, pbc=True))
    coarse = {'name': 'coarse', 'window_k': [0.0, 1000.0], 'length_ps': 2.0}
    fine = {'name': 'fine', 'window_k': 'auto', 'length_ps': 20.0}
    sentence = problem(stand_in_codes, systems={'pair': pair}, overrides={'sis': {'stages': [coarse, fine]}}) or ''
    assert "reaches beyond `window_k` [0, 1000] K of stage 'coarse'" in sentence


@pytest.mark.parametrize(
    ('resources', 'with_mpi'),
    [
        ({'num_machines': 1, 'num_mpiprocs_per_machine': 1}, False),
        ({'tot_num_mpiprocs': 4, 'num_machines': 1}, True),
        ({'num_machines': 4, 'num_mpiprocs_per_machine': 1}, True),
    ],
)
def test_ranks_in_whichever_way(resources: dict[str, int], with_mpi: bool, stand_in_codes: Codes) -> None:
    """Four ranks are four ranks, however they are asked for; options beside a code key are for all codes."""
    options = {'cp2k': {'resources': resources}, 'max_wallclock_seconds': 77}
    builder = SisWorkChain.get_builder_from_protocol(stand_in_codes, {'pair': lifsi_ion_pair()}, options=options)
    assert builder.label.cp2k.cp2k.metadata.options.withmpi is with_mpi
    assert builder.label.cp2k.cp2k.metadata.options.max_wallclock_seconds == 77
    assert builder.explore.md.metadata.options.max_wallclock_seconds == 77


@pytest.mark.parametrize(
    ('overrides', 'sentence'),
    [
        ('x', 'give a dictionary with the layout'),
        ({'hybrid': ['cycles']}, "The override 'hybrid' is ['cycles'], but it must be a dictionary"),
        ({'cycles': 3}, "it belongs into 'hybrid'"),
        ({'sis': {'sampling': {}}}, "'sis.sampling' has no effect in a hybrid run: leave it out"),
        ({'sis': {'systems': {}}}, "set fixed_atoms in the section 'hybrid'"),
    ],
)
def test_overrides_of_a_hybrid_run(overrides: Any, sentence: str) -> None:
    """What a hybrid run does not look at is not taken in silence."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is compared as it stands
        split_overrides(overrides)
    assert sentence in str(caught.value)


def test_later_bursts_of_a_hybrid_run(stand_in_codes: Codes) -> None:
    """Also the length of the second burst must hold a step."""
    builder = HybridWorkChain.get_builder_from_protocol(
        stand_in_codes, lifsi_ion_pair(), overrides={'hybrid': {'aimd_length_fs': 0.1}}
    )
    found = HybridWorkChain.spec().inputs.validate(builder._inputs(prune=True))
    assert 'shorter than one timestep' in str(found.message)


@pytest.mark.parametrize(
    ('comparison', 'sentence'),
    [
        ({'teacher_len': 3}, "did you mean 'teacher_length_ps'"),
        ({'teacher_length_ps': '10 ps'}, 'give a number, without quotes and without a unit'),
        ({'rdf': 'x'}, 'give a dictionary of settings'),
        ({'rdf': {'rmax': 6}}, "did you mean 'r_max'"),
        ({'rdf': {'n_bins': 0}}, 'it must be at least 2'),
        ({'rdf': {'reference_skip': 2}}, 'below 1'),
    ],
)
def test_comparison(comparison: dict[str, Any], sentence: str) -> None:
    """It comes last, hours after its settings were written."""
    assert sentence in (validate_comparison(orm.Dict(comparison), None) or '')


def test_comparison_in_part(stand_in_codes: Codes) -> None:
    """What is left out of `rdf` has its default, as at the top."""
    melt, crystal = rehearsal_systems(1)
    builder = RehearsalWorkChain.get_builder_from_protocol(
        stand_in_codes, {'melt': melt}, supporting={'crystal': crystal}
    )
    builder.comparison = orm.Dict({'rdf': {'r_max': 5.0}})
    assert RehearsalWorkChain.spec().inputs.validate(builder._inputs(prune=True)) is None
