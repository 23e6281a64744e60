"""The questions, asked of the real run of the example archive; what it must answer is known from its outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_deepmd.calculations.import_data import import_datasets
from aiida_sis import run as query
from aiida_sis.run.origins import datasets_of
from tests.built_runs import calculated


def test_runs(example_run: orm.WorkChainNode) -> None:
    """The row of a run is its summary."""
    (row,) = query.runs()
    summary = example_run.outputs.summary.get_dict()
    assert row.run.uuid == example_run.uuid
    assert (row.state, row.exit_status, row.outcome) == ('finished', 0, 'stable')
    assert row.systems == ('ion_pair',)
    assert row.n_generations == len(summary['generations'])
    assert (row.aimd_ps, row.md_ps) == (summary['aimd_ps'], summary['md_ps'])
    assert row.acceleration_ratio == summary['acceleration_ratio']
    assert row.potential is not None
    assert row.potential.uuid == example_run.outputs.potential.uuid


def test_frames_of_a_model(example_run: orm.WorkChainNode) -> None:
    """The last potential was trained on all datasets of the run, with the jobs that labelled them."""
    rows = query.training_frames(example_run.outputs.potential.pk)
    assert {row.dataset.uuid for row in rows} == {node.uuid for node in example_run.outputs.datasets.values()}
    assert sum(row.n_train or 0 for row in rows) == 484
    assert [row.generation for row in rows] == [0, 0, 1, 1]
    for row in rows:
        assert row.source == 'AIMD'
        assert row.run is not None
        assert row.run.pk == example_run.pk
        (job,) = row.jobs
        assert orm.load_node(job.pk).process_label == 'Cp2kCalculation'
        trajectory = orm.load_node(row.trajectory.pk) if row.trajectory else None
        assert isinstance(trajectory, orm.TrajectoryData)
        assert trajectory.numsteps == row.n_frames
        assert orm.load_node(job.pk).outputs.output_trajectory.uuid == trajectory.uuid


def test_frames_of_an_earlier_model(example_run: orm.WorkChainNode) -> None:
    """The first potential has seen the first generation only."""
    first = example_run.outputs.potentials['g0']
    rows = query.training_frames(first.pk)
    assert [row.generation for row in rows] == [0, 0]
    assert {row.trainings_back for row in rows} == {0}


def test_frames_that_only_a_parent_saw(example_run: orm.WorkChainNode) -> None:
    """What a training was continued from is followed back."""
    last = example_run.outputs.potential
    dataset = example_run.outputs.datasets['g1_0']
    job = orm.CalcJobNode(process_type='aiida.calculations:deepmd.train')
    job.base.links.add_incoming(last, LinkType.INPUT_CALC, 'parent')
    job.base.links.add_incoming(dataset, LinkType.INPUT_CALC, 'datasets__new')
    job.store()
    potential = last.clone()
    potential.base.links.add_incoming(job, LinkType.CREATE, 'potential')
    potential.store()
    rows = query.training_frames(potential.pk)
    assert [row.trainings_back for row in rows if row.dataset.uuid == dataset.uuid] == [0]
    assert sorted(row.trainings_back for row in rows) == [0, 1, 1, 1]


def test_frames_of_an_imported_model(example_run: orm.WorkChainNode) -> None:
    """Nothing is known of a potential without a training."""
    assert query.training_frames(example_run.outputs.potential.clone().store().pk) == []


def test_origin(example_run: orm.WorkChainNode) -> None:
    """The datasets of generation 1 come from the two catastrophes of generation 0, those of 0 from the start."""
    rows = query.origins(datasets_of(example_run.pk))
    assert [row.kind for row in rows] == ['start', 'start', 'snapshot', 'snapshot']
    start = example_run.inputs.systems['ion_pair']
    assert {row.start.uuid for row in rows[:2] if row.start} == {start.uuid}
    points = {(row.place, row.t_cp_ps, row.t_next_ps) for row in query.catastrophes()}
    found = {(row.explored_as, row.t_cp_ps, row.t_next_ps) for row in rows[2:]}
    assert found == points
    for row in rows[2:]:
        assert row.exploration is not None
        results = orm.load_node(row.exploration.pk).outputs.results.get_dict()
        assert results['catastrophe']['temperature_k'] == row.temperature_cp_k
        assert results['t_next']['snapshot_index'] == row.snapshot_index
        assert row.potential is not None
        assert row.potential.uuid == example_run.outputs.potentials['g0'].uuid


def test_origin_of_a_file(aiida_profile_clean, tmp_path: Path, deepmd_datasets) -> None:
    """A dataset that was imported tells its file."""
    deepmd_datasets['aimd_0'].write_npy(tmp_path / 'system')
    (imported,) = import_datasets(tmp_path, settings={'split': 'shuffled'})
    assert imported.dataset is not None
    (row,) = query.origins([imported.dataset.pk])
    assert row.kind == 'file'
    assert row.file is not None
    assert row.file.startswith(str(tmp_path))
    assert row.run is None


def test_catastrophes(example_run: orm.WorkChainNode) -> None:
    """Two of the six MD runs left their window; temperature, time and composition are those of the nodes."""
    rows = query.catastrophes()
    assert [(row.generation, row.stage, row.replica) for row in rows] == [(0, 0, 0), (0, 0, 1)]
    for row in rows:
        assert row.composition == 'F2LiNO4S2'
        assert row.n_atoms == 10
        assert row.bound == 'high'
        assert (row.window_low_k, row.window_high_k) == (0.0, 1000.0)
        assert row.temperature_cp_k is not None
        assert row.temperature_cp_k > 1000
    assert query.catastrophes([example_run.pk]) == rows
    other = orm.WorkChainNode(process_type='aiida.workflows:sis.sis').store()
    assert query.catastrophes([other.pk]) == []


def test_measured_t_next(example_run: orm.WorkChainNode) -> None:
    """Where a ladder has measured it, t_next of the rule is shown nowhere; no right rung is no t_next."""
    first, second = query.catastrophes()
    for index, (row, measured) in enumerate([(first, 0.021), (second, None)]):
        results = orm.load_node(row.exploration.pk).outputs.results
        calculated(example_run, f'ladder_g1_{index}', 'result', {'t_next_ps': measured}, results=results)
    assert first.t_next_ps != 0.021
    assert [row.t_next_ps for row in query.catastrophes()] == [0.021, None]
    assert [row.t_next_ps for row in query.origins(datasets_of(example_run.pk)) if row.explored_as] == [0.021, None]


def test_the_last_verdict_counts(example_run: orm.WorkChainNode) -> None:
    """A potential that was verified in two stages has the error of the last, whatever the order of their PKs."""
    for stage, error in ((1, 0.12), (0, 0.34)):
        calculated(example_run, f'verdict_g1_s{stage}', 'results', {'force_rmse_ev_per_angstrom': error})
    assert {row.place: row.true_force_rmse_ev_per_angstrom for row in query.models()} == {
        'train_g0': None,
        'train_g1': 0.12,
    }


def test_models(example_run: orm.WorkChainNode) -> None:
    """The better model comes first, and a limit between the two leaves it alone."""
    rows = query.models()
    assert [row.place for row in rows] == ['train_g1', 'train_g0']
    assert rows[0].force_rmse_ev_per_angstrom < rows[1].force_rmse_ev_per_angstrom
    assert rows[0].longest_stable_ps == pytest.approx(50)
    assert rows[1].longest_stable_ps is None
    between = (rows[0].force_rmse_ev_per_angstrom + rows[1].force_rmse_ev_per_angstrom) / 2
    assert query.models(below=between) == rows[:1]
    assert query.models(below=0.001) == []
    assert query.models(selected=[example_run.pk]) == rows


def test_uses(example_run: orm.WorkChainNode) -> None:
    """The start structure is a system, and starts two labels and six MD runs; a copy of it is used by nobody."""
    structure = example_run.inputs.systems['ion_pair']
    rows = query.uses_of(structure.pk)
    assert len(rows) == 9
    assert {row.run.pk for row in rows} == {example_run.pk}
    assert sorted(row.used_as for row in rows)[-1] == 'systems__ion_pair'
    copy = structure.clone().store()
    assert query.uses_of(copy.pk) == []
    assert query.uses_of(copy.pk, equal=True) == rows
    moved = orm.StructureData(cell=structure.cell)
    for site in structure.sites:
        moved.append_atom(position=(site.position[0] + 1e-3, *site.position[1:]), symbols=site.kind_name)
    assert query.uses_of(moved.store().pk, equal=True) == []


def test_costs(example_run: orm.WorkChainNode) -> None:
    """Generations add up to the run, and the sums are those of the jobs' own clocks."""
    from aiida_sis.run.clock import job_interval

    (row,) = query.costs()
    parts = query.costs([example_run.pk], by_generation=True)
    assert [part.generation for part in parts] == [0, 1]
    for name in ('aimd_ps', 'md_ps', 'core_hours_cp2k', 'core_hours_dp', 'core_hours_lmp', 'core_hours', 'n_jobs'):
        assert sum(getattr(part, name) for part in parts) == pytest.approx(getattr(row, name))
    summary = example_run.outputs.summary.get_dict()
    assert row.aimd_ps == pytest.approx(summary['aimd_ps'])
    assert row.kept_frames == summary['cost']['kept_frames']
    assert row.n_untimed_jobs == 0
    hours = {'Cp2kCalculation': 0.0, 'DeepmdTrainCalculation': 0.0, 'LammpsMdCalculation': 0.0}
    for job in example_run.called_descendants:
        interval = job_interval(job)
        if interval is not None:
            threads = 2 if job.process_label == 'DeepmdTrainCalculation' else 1  # dp ran on two cores there
            hours[job.process_label] += threads * (interval[1] - interval[0]) / 3600
    assert row.core_hours_cp2k == pytest.approx(hours['Cp2kCalculation'])
    assert row.core_hours_dp == pytest.approx(hours['DeepmdTrainCalculation'])
    assert row.core_hours_lmp == pytest.approx(hours['LammpsMdCalculation'])
