"""A run that goes on from another: what it takes from it, and what is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.manage import get_manager
from plumpy import ProcessState
from sqlalchemy import text

from aiida_sis.core.loop.clock_marks import END_COMMAND, START_COMMAND
from aiida_sis.run.record import collect
from aiida_sis.share.continuation import continuation, missing_for_continuation
from aiida_sis.show.tables import verdict_lines
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
    run: orm.WorkChainNode,
    metadata: dict[str, Any],
    outputs: bool = True,
    more: dict[str, orm.Data] | None = None,
    **changed: orm.Data,
) -> orm.WorkChainNode:
    """Store a run with the same outputs and inputs, but for those that are changed or more, and other metadata."""
    node = orm.WorkChainNode(process_type=run.process_type)
    node.base.attributes.set('metadata_inputs', metadata)
    node.set_process_label('SisWorkChain')
    node.set_process_state(ProcessState.FINISHED)
    for link in run.base.links.get_incoming(link_type=LinkType.INPUT_WORK).all():
        node.base.links.add_incoming(changed.get(link.link_label, link.node), LinkType.INPUT_WORK, link.link_label)
    for label, data in (more or {}).items():
        node.base.links.add_incoming(data, LinkType.INPUT_WORK, label)
    node.store()
    for link in run.base.links.get_outgoing(link_type=LinkType.RETURN).all() if outputs else []:
        link.node.base.links.add_incoming(node, LinkType.RETURN, link.link_label)
    return node


def test_what_cannot_be_continued(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """A run that goes on, one that has computed nothing, and something else."""
    assert missing_for_continuation(example_run) is None
    going_on = orm.WorkChainNode(process_type=example_run.process_type)
    going_on.set_process_state(ProcessState.WAITING)
    assert 'has not ended' in str(missing_for_continuation(going_on.store()))
    empty = rerun(example_run, {}, outputs=False)
    with pytest.raises(ValueError, match='ended before a label or a training was over, so there is nothing'):
        continuation(empty, codes)
    assert 'only a SisWorkChain' in str(missing_for_continuation(example_run.called[0]))


def killed(run: orm.WorkChainNode, *parts: str, going_on: str = '') -> orm.WorkChainNode:
    """Turn the run into one that was killed: it returned nothing, and only these parts had ended."""
    session = get_manager().get_profile_storage().get_session()
    session.execute(text(f"delete from db_dblink where input_id={run.pk} and type='return'"))
    for link in run.base.links.get_outgoing(link_type=(LinkType.CALL_WORK, LinkType.CALL_CALC)).all():
        if link.link_label not in (*parts, going_on):
            session.execute(text(f'delete from db_dblink where input_id={run.pk} and output_id={link.node.pk}'))
        elif link.link_label == going_on:
            set_state(session, link.node, 'waiting')
    set_state(session, run, 'killed')
    session.commit()
    session.expire_all()
    node = orm.load_node(run.pk)
    assert isinstance(node, orm.WorkChainNode)
    assert list(node.outputs) == []
    return node


def set_state(session: Any, node: orm.Node, state: str) -> None:
    """Change the state of a process that is sealed."""
    change = f"json_remove(json_set(attributes, '$.process_state', '{state}'), '$.exit_status')"
    session.execute(text(f'update db_dbnode set attributes = {change} where id = {node.pk}'))


FIRST = ('label_g0_0', 'label_g0_1')
GENERATION_0 = (*FIRST, 'train_g0', 'explore_g0_s0_r0', 'explore_g0_s0_r1')
GENERATION_1 = ('label_g1_0', 'label_g1_1', 'train_g1', 'explore_g1_s0_r0', 'explore_g1_s0_r1')


@pytest.mark.parametrize(
    ('parts', 'datasets', 'trained', 'stages', 'first_labels'),
    [
        (FIRST[:1], ['g0_0'], None, 2, 1),
        (FIRST, ['g0_0', 'g0_1'], None, 2, 0),
        (GENERATION_0, ['g0_0', 'g0_1'], 'train_g0', 2, None),
        ((*GENERATION_0, 'label_g1_0'), ['g0_0', 'g0_1', 'g1_0'], 'train_g0', 2, None),
        ((*GENERATION_0, *GENERATION_1[:2]), ['g0_0', 'g0_1', 'g1_0', 'g1_1'], 'train_g0', 2, None),
        ((*GENERATION_0, *GENERATION_1), ['g0_0', 'g0_1', 'g1_0', 'g1_1'], 'train_g1', 2, None),
        (
            (*GENERATION_0, *GENERATION_1, 'explore_g1_s1_r0'),
            ['g0_0', 'g0_1', 'g1_0', 'g1_1'],
            'train_g1',
            1,
            None,
        ),
    ],
    ids=['a label', 'labels', 'an MD', 'a label more', 'labels not merged', 'a stage', 'the last stage'],
)
def test_killed_run_is_continued_from_its_parts(
    example_run: orm.WorkChainNode,
    codes: dict[str, orm.InstalledCode],
    parts: tuple[str, ...],
    datasets: list[str],
    trained: str | None,
    stages: int,
    first_labels: int | None,
) -> None:
    """A run that was killed at any moment returned nothing; all that its parts gave is found, and nothing twice."""
    calls = example_run.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    potential = {link.link_label: link.node for link in calls}[trained].outputs.potential if trained else None
    frames = {name: example_run.outputs.datasets[name].uuid for name in datasets}
    builder = continuation(killed(example_run, *parts), codes)
    assert {name: node.uuid for name, node in builder.datasets.items()} == frames
    values = builder.parameters.get_dict()
    assert len(values['stages']) == stages
    if potential is not None:
        assert (values['start'], builder.potential.uuid) == ('explore', potential.uuid)
    else:
        assert 'start' not in values
        assert values['systems']['ion_pair']['initial_labels'] == first_labels
    assert validate_sis_inputs(builder._inputs(prune=True), None) is None


def test_learning_rate_is_that_of_the_last_training(
    example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]
) -> None:
    """Labels of generation 1 without a training lower no rate."""
    base = example_run.inputs.train.train.parameters['learning_rate']['start_lr']
    builder = continuation(killed(example_run, *GENERATION_0, 'label_g1_0'), codes)
    assert builder.train.train.parameters['learning_rate']['start_lr'] == base


def test_potential_that_was_given(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """A run that began to explore with a potential and ended in generation 0 goes on with it."""
    values = example_run.inputs.parameters.get_dict() | {'start': 'explore'}
    given = {'parameters': orm.Dict(values).store()}
    run = rerun(example_run, {}, outputs=False, more={'potential': example_run.outputs.potential}, **given)
    builder = continuation(run, codes)
    assert builder.potential.uuid == example_run.outputs.potential.uuid
    assert builder.train.train.parameters.get_dict() == run.inputs.train.train.parameters.get_dict()


def test_parts_that_go_on(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """An exception leaves the children of a run at work: what they will give is waited for."""
    run = killed(example_run, *GENERATION_0, going_on='label_g1_0')
    with pytest.raises(ValueError, match=r'parts of it go on \(\d+\): wait for them'):
        continuation(run, codes)


def test_python_continues_a_killed_run_too(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """`continue_from` finds the same."""
    from aiida_sis.workflows.sis import SisWorkChain

    structure = example_run.inputs.systems['ion_pair']
    run = killed(example_run, *GENERATION_0, 'label_g1_0')
    model = example_run.inputs.train.train.parameters['model']
    builder = SisWorkChain.get_builder_from_protocol(
        codes, {'ion_pair': structure}, overrides={'dp': {'model': model}}, continue_from=run
    )
    assert sorted(builder.datasets) == ['g0_0', 'g0_1', 'g1_0']


def test_status_names_the_remedy(example_run: orm.WorkChainNode) -> None:
    """Whoever looks at a killed run learns that its parts are kept."""
    lines = verdict_lines(collect(killed(example_run, *GENERATION_0)))
    assert 'Verdict: failed (killed)' in lines
    assert any(f'continue {example_run.pk}' in line and 'is kept' in line for line in lines)
    assert not any('is kept' in line for line in verdict_lines(collect(rerun(example_run, {}))))


SHELL = 'touch /tmp/a_line_of_a_stranger'


def test_nothing_of_a_stranger_reaches_a_shell(
    example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]
) -> None:
    """Options, files and settings that a shell or a scheduler would see are left out, and each of them is told."""
    metadata = example_run.base.attributes.get('metadata_inputs')
    options = metadata['explore']['md']['metadata']['options']
    options['prepend_text'] += f'\n{SHELL}'
    options |= {
        'append_text': SHELL,
        'custom_scheduler_commands': f'#SBATCH x\n{SHELL}',
        'environment_variables': {'A': f'$({SHELL})'},
        'mpirun_extra_params': [f'; {SHELL}'],
        'additional_retrieve_list': ['/etc/passwd'],
        'max_wallclock_seconds': f'60; {SHELL}',
        'queue_name': f'q; {SHELL}',
        'resources': {'num_machines': f'1; {SHELL}', 'num_mpiprocs_per_machine': 2, 'parallel_env': SHELL},
    }
    settings = orm.Dict({'cmdline': [SHELL], 'additional_retrieve_list': ['/etc/passwd']}).store()
    monitors = orm.Dict({'entry_point': 'core.always_kill'}).store()
    more = {'label__cp2k__cp2k__settings': settings, 'label__cp2k__cp2k__monitors__x': monitors}
    run = rerun(example_run, metadata, more=more)
    dropped: list[str] = []
    builder = continuation(run, codes, dropped=dropped)
    inputs = builder._inputs(prune=True)
    assert SHELL not in str(inputs['explore']['md']['metadata'])
    assert inputs['explore']['md']['metadata']['options'] == {
        'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 2},
        'withmpi': False,
        'prepend_text': START_COMMAND,
        'append_text': END_COMMAND,
    }
    assert {'settings', 'monitors'} & set(inputs['label']['cp2k']['cp2k']) == set()
    told = '\n'.join(dropped)
    for words in (
        f'lmp: option prepend_text: {SHELL!r}', f'lmp: option append_text: {SHELL!r}', 'custom_scheduler_commands',
        'environment_variables', 'mpirun_extra_params', 'additional_retrieve_list', 'queue_name', 'resources.parallel',
        'resources.num_machines', 'max_wallclock_seconds', f'label.cp2k.cp2k.settings (node {settings.pk})',
        'label.cp2k.cp2k.monitors.x',
    ):  # fmt: skip
        assert words in told


def test_codes_of_an_archive(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """Those of the other machine, under the same labels as they may be, are not run."""
    computer = orm.Computer('theirs', 'somewhere', '', 'core.ssh', 'core.slurm', '/scratch').store()
    theirs = orm.InstalledCode(label='lmp', computer=computer, filepath_executable='/bin/true').store()
    with pytest.raises(ValueError, match=r'for lmp is on a computer that is not configured here'):
        continuation(example_run, codes | {'lmp': theirs})


def test_own_lines_can_be_kept(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """Whoever asks for it: the run is their own."""
    metadata = example_run.base.attributes.get('metadata_inputs')
    metadata['explore']['md']['metadata']['options'] |= {'prepend_text': 'module load lammps', 'queue_name': 'mine'}
    builder = continuation(rerun(example_run, metadata), codes, keep_options=True)
    assert builder.explore.md.metadata.options['prepend_text'] == 'module load lammps'
    assert builder.explore.md.metadata.options['queue_name'] == 'mine'


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        (('MOTION', 'PRINT', 'TRAJECTORY', 'FILENAME'), '=/home/me/.bashrc'),
        (('FORCE_EVAL', 'DFT', 'BASIS_SET_FILE_NAME'), '../../other/BASIS'),
        (('@INCLUDE',), "'/etc/passwd'"),
        (('GLOBAL', 'PRINT_LEVEL'), 'LOW\n@INCLUDE x'),
    ],
)
def test_files_of_a_strangers_input(
    example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode], path: tuple[str, ...], value: str
) -> None:
    """CP2K can write and read any file that its input names."""
    parameters = example_run.inputs.label.cp2k.cp2k.parameters.get_dict()
    section = parameters
    for name in path[:-1]:
        section = section.setdefault(name, {})
    section[path[-1]] = value
    run = rerun(example_run, {}, label__cp2k__cp2k__parameters=orm.Dict(parameters).store())
    with pytest.raises(ValueError, match="reaches outside of the job's folder"):
        continuation(run, codes)


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


def test_names_of_a_strangers_files(example_run: orm.WorkChainNode, codes: dict[str, orm.InstalledCode]) -> None:
    """A file goes into the folder of the job and nowhere else; a link with an odd name is left out and told."""
    file = orm.SinglefileData.from_string('BASIS', filename='MY_BASIS')
    for name, fits in (('MY_BASIS', True), ('../../.profile', False)):
        copy = file.clone()
        copy.base.attributes.set('filename', name)
        more = {'label__cp2k__cp2k__file__basis': store_unchecked(copy)}
        run = rerun(example_run, {}, more=more)
        if fits:
            assert continuation(run, codes).label.cp2k.cp2k.file['basis'].uuid == copy.uuid
        else:
            with pytest.raises(ValueError, match='store it again under a plain name'):
                continuation(run, codes)
    run = rerun(example_run, {}, more={'supporting__a__b': example_run.inputs.systems['ion_pair']})
    dropped: list[str] = []
    assert 'supporting' not in continuation(run, codes, dropped=dropped)._inputs(prune=True)
    assert any('supporting.a.b' in line for line in dropped)


def store_unchecked(node: orm.Node) -> orm.Node:
    """Store a node as an import does: nobody looks at it."""
    node._validate = lambda: True
    return node.store()
