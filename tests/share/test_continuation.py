"""A run that goes on from another: what it takes from it, and what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.common.links import LinkType
from plumpy import ProcessState

from aiida_sis.share.continuation import continuation, missing_for_continuation
from aiida_sis.workflows.validation import validate_sis_inputs


@pytest.fixture
def codes(example_run: orm.WorkChainNode, stand_in_codes: dict[str, orm.InstalledCode]) -> dict[str, orm.InstalledCode]:
    """The codes of this machine; those of the archive are on another."""
    return stand_in_codes


def test_takes_data_and_potential(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """Datasets, potential and settings are the earlier run's; codes are this machine's; it begins with MD."""
    builder = continuation(example_run, codes)
    assert {node.uuid for node in builder.datasets.values()} == {
        node.uuid for node in example_run.outputs.datasets.values()
    }
    assert builder.potential.uuid == example_run.outputs.potential.uuid
    assert builder.systems['ion_pair'].uuid == example_run.inputs.systems['ion_pair'].uuid
    assert builder.label.cp2k.cp2k.code.pk == codes['cp2k'].pk
    assert builder.train.train.code.pk == codes['dp'].pk
    assert builder.explore.md.code.pk == codes['lmp'].pk
    assert builder.label.cp2k.cp2k.parameters.uuid == example_run.inputs.label.cp2k.cp2k.parameters.uuid
    values = builder.parameters.get_dict()
    assert values['start'] == 'explore'
    assert [stage['name'] for stage in values['stages']] == ['high-fidelity']  # the other was passed
    assert values['stages'][0]['length_ps'] == 50.0
    assert builder.seed.value == example_run.inputs.seed.value + 1
    assert validate_sis_inputs(builder._inputs(prune=True), None) is None


def test_learning_rate_goes_on(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """Generation 1 of the new run learns as slowly as generation 2 of the earlier one would have."""
    from aiida_sis.core.loop.schedule import training_parameters
    from aiida_sis.core.settings.sis import read_settings

    builder = continuation(example_run, codes)
    learning = read_settings(example_run.inputs.parameters.get_dict()).learning
    before = training_parameters(example_run.inputs.train.train.parameters.get_dict(), 2, learning)
    after = training_parameters(builder.train.train.parameters.get_dict(), 1, learning)
    assert after['learning_rate']['start_lr'] == pytest.approx(before['learning_rate']['start_lr'])


def test_the_rate_of_fine_tunings_goes_on(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """Where it is one of its own, too."""
    from aiida_sis.core.loop.schedule import training_parameters
    from aiida_sis.core.settings.sis import read_settings

    metadata = example_run.base.attributes.get('metadata_inputs')
    values = example_run.inputs.parameters.get_dict()
    values['learning'] = {**values.get('learning', {}), 'fine_tune_lr': 1e-3, 'lr_decay': 0.5}
    before = training_parameters(
        example_run.inputs.train.train.parameters.get_dict(), 2, read_settings(values).learning
    )
    builder = continuation(rerun(example_run, metadata, parameters=orm.Dict(values).store()), codes)
    learning = read_settings(builder.parameters.get_dict()).learning
    after = training_parameters(builder.train.train.parameters.get_dict(), 1, learning)
    assert after['learning_rate']['start_lr'] == before['learning_rate']['start_lr'] == 5e-4


def test_own_settings(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """What the user asks for replaces what was; options that belong to another machine are left behind."""
    metadata = example_run.base.attributes.get('metadata_inputs')
    metadata['label']['cp2k']['cp2k']['metadata']['options']['queue_name'] = 'theirs'
    copy = rerun(example_run, metadata)
    options = {'cp2k': {'max_wallclock_seconds': 60}}
    builder = continuation(copy, codes, max_generations=2, length_ps=200.0, all_stages=True, seed=11, options=options)
    values = builder.parameters.get_dict()
    assert values['max_generations'] == 2
    assert [stage['length_ps'] for stage in values['stages']] == [2.0, 200.0]
    assert builder.seed.value == 11
    job = builder.label.cp2k.cp2k.metadata.options
    assert 'queue_name' not in job
    assert job['max_wallclock_seconds'] == 60
    assert 'SIS_CLOCK_START' in job['prepend_text']


def rerun(
    run: orm.WorkChainNode, metadata: dict[str, Any], outputs: bool = True, **changed: orm.Data
) -> orm.WorkChainNode:
    """Store a run with the same outputs and inputs, but for those that are changed, and other metadata."""
    node = orm.WorkChainNode(process_type=run.process_type)
    node.base.attributes.set('metadata_inputs', metadata)
    node.set_process_label('SisWorkChain')
    node.set_process_state(ProcessState.FINISHED)
    for link in run.base.links.get_incoming(link_type=LinkType.INPUT_WORK).all():
        node.base.links.add_incoming(changed.get(link.link_label, link.node), LinkType.INPUT_WORK, link.link_label)
    node.store()
    for link in run.base.links.get_outgoing(link_type=LinkType.RETURN).all() if outputs else []:
        link.node.base.links.add_incoming(node, LinkType.RETURN, link.link_label)
    return node


def test_what_cannot_be_continued(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """A run that goes on, one without a potential, and something else."""
    assert missing_for_continuation(example_run) is None
    going_on = orm.WorkChainNode(process_type=example_run.process_type)
    going_on.set_process_state(ProcessState.WAITING)
    assert 'has not ended' in str(missing_for_continuation(going_on.store()))
    empty = rerun(example_run, {}, outputs=False)
    with pytest.raises(ValueError, match='ended without a potential'):
        continuation(empty, codes)
    assert 'only a SisWorkChain' in str(missing_for_continuation(example_run.called[0]))


def test_wrong_setting(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """A length that can't be is refused in one sentence."""
    with pytest.raises(ValueError, match='length_ps'):
        continuation(example_run, codes, length_ps=-1.0)


def test_imported_computer_gives_way(aiida_profile_clean, example_archive: Path) -> None:
    """The computer of an archive keeps its jobs under another label; this machine's is made once."""
    from aiida_sis.setup.profile import ensure_computer
    from aiida_sis.share.importing import import_run

    import_run(example_archive)
    theirs = orm.load_computer('localhost')
    ours = ensure_computer('mpirun')
    assert ours.uuid != theirs.uuid
    assert ours.is_configured
    assert orm.load_computer(uuid=theirs.uuid).label == f'localhost-{theirs.pk}'
    assert ensure_computer('mpirun').uuid == ours.uuid
    assert orm.load_code(f'cp2k@localhost-{theirs.pk}').computer.uuid == theirs.uuid
