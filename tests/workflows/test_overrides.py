"""Overrides that replace and remove, over the protocols that ship."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
from aiida import orm
from pydantic import BaseModel

from aiida_deepmd.settings import parts
from aiida_sis.core.loop.schedule import training_parameters
from aiida_sis.core.overlay import VARIANT_KEYS, merge
from aiida_sis.core.settings.md import read_md_settings
from aiida_sis.core.settings.sis import LearningSchedule, read_settings
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.protocols import list_protocols, load_protocol
from aiida_sis.workflows.protocols.removal import SETTINGS
from aiida_sis.workflows.sis import SisWorkChain

Codes = dict[str, orm.InstalledCode]
COSINE = {'type': 'cosine', 'start_lr': 1e-2, 'stop_lr': 1e-5}
EXPONENTIAL = {'type': 'exp', 'start_lr': 2e-3, 'stop_lr': 1e-5, 'decay_steps': 100}
ADAM = {'type': 'Adam', 'adam_beta2': 0.99}


def fill(codes: Codes, **arguments: Any) -> Any:
    """Give a builder that every check accepts."""
    builder = SisWorkChain.get_builder_from_protocol(codes, {'pair': lifsi_ion_pair()}, **arguments)
    found = SisWorkChain.spec().inputs.validate(builder._inputs(prune=True))
    assert found is None, found.message
    return builder


@pytest.mark.parametrize('protocol', sorted(list_protocols()))
def test_another_learning_rate(protocol: str) -> None:
    """The protocol's own keys of another rate are gone, and an optimizer may be added."""
    values = load_protocol(protocol, {'dp': {'learning_rate': EXPONENTIAL, 'optimizer': ADAM}})
    assert values['dp']['learning_rate'] == EXPONENTIAL
    assert values['dp']['optimizer'] == ADAM
    before = load_protocol(protocol)
    assert {**values['dp'], 'learning_rate': 0, 'optimizer': 0} == {**before['dp'], 'learning_rate': 0, 'optimizer': 0}


@pytest.mark.parametrize('warm', [{}, {'warmup_steps': 100}, {'warmup_ratio': 0.05}])
def test_cosine_passes_every_check(warm: dict[str, Any], stand_in_codes: Codes) -> None:
    """DeePMD-kit's own check, that of the first training and those of the fine-tunings."""
    builder = fill(stand_in_codes, overrides={'dp': {'learning_rate': COSINE | warm, 'optimizer': ADAM}})
    parameters = builder.train.train.parameters.get_dict()
    assert parameters['learning_rate'] == COSINE | warm
    assert parameters['optimizer'] == ADAM


def test_fine_tunings_of_a_cosine() -> None:
    """Nothing of the schedule asks for the decay steps that a cosine does not have."""
    dp = load_protocol('demo', {'dp': {'learning_rate': COSINE | {'warmup_steps': 800}, 'optimizer': ADAM}})['dp']
    later = training_parameters(dp, 3, LearningSchedule(fine_tune_steps=4000))
    assert set(later['learning_rate']) == {*COSINE, 'warmup_steps'}
    assert later['learning_rate']['stop_lr'] <= later['learning_rate']['start_lr'] <= COSINE['start_lr']
    assert later['learning_rate']['warmup_steps'] <= 800
    assert later['optimizer'] == ADAM


def test_another_descriptor(stand_in_codes: Codes) -> None:
    """It brings its own keys; `sel` is filled for each part of a hybrid one."""
    short = {'type': 'se_e2_a', 'rcut': 4.0, 'rcut_smth': 0.5, 'neuron': [4, 8]}
    hybrid = {'type': 'hybrid', 'list': [short, short | {'type': 'se_e2_r', 'rcut': 6.0}]}
    builder = fill(stand_in_codes, overrides={'dp': {'model': {'descriptor': hybrid}}})
    descriptor = builder.train.train.parameters['model']['descriptor']
    assert set(descriptor) == {'type', 'list'}
    near, far = (part['sel'] for part in descriptor['list'])
    assert len(near) == len(far) == 5
    assert sum(near) <= sum(far)


def test_another_thermostat_and_rule() -> None:
    """What is left out has the default of the settings, not the value of another kind."""
    overrides = {'md': {'thermostat': {'style': 'nose_hoover'}, 't_next': {'rule': 'offset', 'offset_fs': 80.0}}}
    before = load_protocol('demo', {'md': {'thermostat': {'time_constant_fs': 70.0}}})['md']
    assert before['thermostat'] == {'style': 'csvr', 'time_constant_fs': 70.0}
    md = load_protocol('demo', overrides)['md']
    assert md['thermostat'] == {'style': 'nose_hoover'}
    assert md['t_next'] == {'rule': 'offset', 'offset_fs': 80.0}


@pytest.mark.parametrize('protocol', sorted(list_protocols()))
def test_protocols_name_their_kinds(protocol: str) -> None:
    """Else another kind would be merged with the keys of the default one."""
    values = load_protocol(protocol)
    for path in (('dp', 'learning_rate'), ('dp', 'loss'), ('dp', 'model', 'descriptor'), ('md', 'thermostat')):
        section: Any = values
        for key in path:
            section = section[key]
        assert set(VARIANT_KEYS) & set(section), path
    if 't_next' in values['md']:
        assert 'rule' in values['md']['t_next']


def test_removal(stand_in_codes: Codes) -> None:
    """A key is gone, and what reads the section takes its default."""
    overrides = {
        'train': {'force_rmse_max': None, 'settings': None},
        'md': {'thermostat': None, 'grace_ps': None, 'ring_size': None},
        'label': {'dataset': {'max_frames': None}, 'max_seconds_per_step': None},
        'sis': {'learning': {'lr_decay': None}, 'max_generations': None},
        'dp': {'training': {'disp_freq': None}, 'model': {'descriptor': {'sel': None}}},
        'cp2k': {'FORCE_EVAL': {'DFT': {'SCF': {'OUTER_SCF': None}}}},
        'options': {'max_wallclock_seconds': None},
    }
    builder = fill(stand_in_codes, overrides=overrides)
    assert 'force_rmse_max' not in builder.train
    assert builder.train.train.settings.get_dict() == {}
    md = read_md_settings(builder.explore.md.parameters.get_dict())
    assert (md.thermostat.time_constant_fs, md.grace_ps, md.ring_size) == (100.0, None, 60)
    assert read_settings(builder.parameters.get_dict()).max_generations == 10
    assert 'disp_freq' not in builder.train.train.parameters['training']
    assert 'OUTER_SCF' not in builder.label.cp2k.cp2k.parameters['FORCE_EVAL']['DFT']['SCF']
    assert 'max_wallclock_seconds' not in builder.explore.md.metadata.options


def test_removal_for_one_system(stand_in_codes: Codes) -> None:
    """Its level of theory is that of the run without the key; the protocol's own words of a system go as well."""
    scf = {'FORCE_EVAL': {'DFT': {'SCF': {'DIAGONALIZATION': None}}}}
    builder = fill(stand_in_codes, overrides={'sis': {'systems': {'pair': {'cp2k': scf}}}})
    own = read_settings(builder.parameters.get_dict()).system('pair').cp2k
    level = merge(builder.label.cp2k.cp2k.parameters.get_dict(), own)
    assert 'DIAGONALIZATION' not in level['FORCE_EVAL']['DFT']['SCF']
    assert 'DIAGONALIZATION' in builder.label.cp2k.cp2k.parameters['FORCE_EVAL']['DFT']['SCF']
    theirs = load_protocol('moderate', {'sis': {'systems': {'lithium': None}}})['sis']['systems']
    assert set(theirs) == {'electrolyte', 'interface'}


@pytest.mark.parametrize(
    ('overrides', 'sentence'),
    [
        ({'dp': {'learning_rate': {'start_l': None}}}, "did you mean 'start_lr'"),
        ({'dp': {'learning_rate': EXPONENTIAL | {'start_l': None}}}, "did you mean 'start_lr'"),
        ({'dp': {'model': {'spin': {'use_spin': None}}}}, "'dp.model.spin.use_spin' is null, which removes a key"),
        ({'md': {'ring_sise': None}}, "did you mean 'ring_size'"),
        ({'md': {'thermostat': {'styles': None}}}, "did you mean 'style'"),
        ({'sis': {'learning': {'mask_fixed_atoms': None}}}, 'valid keys are fine_tune_lr, fine_tune_steps, lr_decay'),
        ({'train': {'max_extension': None}}, "did you mean 'max_extensions'"),
        ({'options': {'queue_name': None}}, 'but the protocol has no such key'),
        ({'cp2k': {'FORCE_EVAL': {'DFT': {'SFC': None}}}}, "did you mean 'SCF'"),
        ({'cp2k': {'FORCE_EVAL': None}}, 'no run can do without it'),
        ({'dp': {'model': None}}, 'no run can do without it'),
        (
            {'sis': {'systems': {'pair': {'cp2k': {'FORCE_EVAL': {'DFT': {'UKS': None}}}}}}},
            "'sis.systems.pair.cp2k.FORCE_EVAL.DFT.UKS' is null",
        ),
        ({'sis': {'systems': {'pair': {'fixed_atoms': None}}}}, 'it has none there, so leave this out'),
    ],
)
def test_removal_of_nothing(overrides: dict[str, Any], sentence: str) -> None:
    """One sentence, with the nearest key of the protocol."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is compared as it stands
        load_protocol('demo', overrides)
    assert sentence in str(caught.value)
    assert '\n' not in str(caught.value)


def test_key_of_another_kind_may_be_removed_in_words() -> None:
    """Who writes down that the old key goes gets what is meant."""
    offset = {'rule': 'offset', 'offset_fs': 80.0}
    assert load_protocol('demo', {'md': {'t_next': offset | {'margin_fs': None}}})['md']['t_next'] == offset


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all models in it."""
    yield model
    for part in parts(model).values():
        yield from models(part)


@pytest.mark.parametrize('section', sorted(SETTINGS))
def test_none_is_always_the_default(section: str) -> None:
    """Removing a key, and giving its None, mean the same only where None is the default."""
    for model in models(SETTINGS[section]):
        for name, field in model.model_fields.items():
            if type(None) in get_args(field.annotation):
                assert field.default is None, f'{model.__name__}.{name}'


def test_options_by_code(stand_in_codes: Codes) -> None:
    """What stands under a code is for it alone, in the overrides as in `options`, which win."""
    gpu = {'queue_name': 'gpu', 'custom_scheduler_commands': '#SBATCH --gres=gpu:1'}
    overrides = {'options': {'account': 'mine', 'dp': gpu, 'lmp': gpu | {'max_wallclock_seconds': 77}}}
    builder = fill(stand_in_codes, overrides=overrides, options={'lmp': {'queue_name': 'gpu-long'}})

    def of(job: Any) -> Mapping[str, Any]:
        options: Mapping[str, Any] = job.metadata.options
        return options

    training, md, label = of(builder.train.train), of(builder.explore.md), of(builder.label.cp2k.cp2k)
    assert {key: training[key] for key in gpu} == gpu
    assert (md['queue_name'], md['max_wallclock_seconds']) == ('gpu-long', 77)
    assert md['custom_scheduler_commands'] == gpu['custom_scheduler_commands']
    assert 'queue_name' not in label
    assert 'custom_scheduler_commands' not in label
    assert {job['account'] for job in (training, md, label)} == {'mine'}
