"""What every workchain that labels with CP2K has in common: its inputs, its checks, its jobs and its dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, WorkChain
from aiida_cp2k.calculations import Cp2kCalculation

from aiida_deepmd.data.dataset import DatasetData
from aiida_sis.calculations.dataset import dataset_from_trajectory
from aiida_sis.calculations.label import collect_frames, read_jobs
from aiida_sis.calculations.retrieved import read_text
from aiida_sis.core.cp2k.abort import CUT_SHORT, abort_reason
from aiida_sis.core.cp2k.electrons import check_electrons
from aiida_sis.core.cp2k.input import check_elements, check_level_of_theory
from aiida_sis.core.cp2k.output import EARLIER_RESTART_FILE, ENERGY_FILE, OUTPUT_FILE, read_version
from aiida_sis.core.settings.label import LabelSettings, check_label_parameters, check_start, read_label_settings
from aiida_sis.workflows.cp2k_jobs import Cp2kJobsWorkChain

#: So many jobs of a code are asked for its version; one that stopped at its input does not tell it.
_JOBS_ASKED = 5
#: A job that is killed takes with it what the Fortran runtime holds back of the main output, and with that the word on
#: the SCF of its last frames.
_UNBUFFERED = {'GFORTRAN_UNBUFFERED_PRECONNECTED': 'y'}


def validate_parameters(value: orm.Dict | None, _: Any) -> str | None:
    """Refuse parameters that can't be meant, in one sentence."""
    return None if value is None else check_label_parameters(value.get_dict())


class LabellingWorkChain(WorkChain):
    """The base of the workchains that label: they differ in what CP2K is asked for, and in nothing else."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports and the exit codes that all of them have."""
        super().define(spec)
        spec.expose_inputs(
            Cp2kJobsWorkChain,
            namespace='cp2k',
            exclude=('cp2k.structure', 'cp2k.trajectory', 'cp2k.parent_calc_folder'),
            namespace_options={
                'help': 'CP2K; `cp2k.cp2k.parameters` is the level of theory, the motion is added to it.'
            },
        )
        spec.input('type_map', valid_type=orm.List, help='The elements of the whole run, in their order.')
        spec.input('seed', valid_type=orm.Int, help='Seed of the velocities, the thermostat and the split of the data.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            default=lambda: orm.Dict({}),
            validator=validate_parameters,
            help='The fields of `core.settings.label.LabelSettings`; times in fs, temperatures in K, forces in eV/Å.',
        )
        spec.output('dataset', valid_type=DatasetData, required=False, help='The labelled frames: eV, Å, eV/Å.')
        spec.output(
            'trajectory',
            valid_type=orm.TrajectoryData,
            required=False,
            help='The good frames: `positions` Å (n_frames, n_atoms, 3), `cells` Å (n_frames, 3, 3), `energies` '
            'hartree (n_frames,), `forces` hartree/bohr (n_frames, n_atoms, 3).',
        )
        spec.output(
            'results', valid_type=orm.Dict, help='Route, verdicts, cost; nothing that was computed is left out.'
        )
        spec.exit_code(201, 'ERROR_START', message='{problem}')
        spec.exit_code(202, 'ERROR_LEVEL_OF_THEORY', message='{problem}')
        spec.exit_code(301, 'ERROR_NO_OUTPUT', message='CP2K left no output to read: {problem}')
        spec.exit_code(403, 'ERROR_NO_GOOD_FRAMES', message='No frame is fit to be learnt: {problem}')
        spec.exit_code(420, 'ERROR_CUT_SHORT', message='{problem}', invalidates_cache=True)

    @property
    def settings(self) -> LabelSettings:
        """The parameters, typed."""
        return read_label_settings(self.inputs.parameters.get_dict())

    def check_inputs(
        self, symbols: Collection[str], velocities: Mapping[str, tuple[int, ...]] | None = None
    ) -> ExitCode | None:
        """Refuse what CP2K or the training would refuse later, before anything is submitted.

        :param symbols: element of each atom.
        :param velocities: shapes of the arrays given as velocities, None where there are none.
        """
        cp2k = self.inputs.cp2k.cp2k
        type_map = self.inputs.type_map.get_list()
        problem = check_start(set(symbols), len(symbols), type_map, velocities, self.settings.fixed_atoms)
        if problem:
            return self.exit_with('ERROR_START', problem)
        problem = check_level(cp2k.parameters.get_dict(), symbols, cp2k)
        return self.exit_with('ERROR_LEVEL_OF_THEORY', problem) if problem else None

    def exit_with(self, name: str, problem: str) -> ExitCode:
        """Give one of the exit codes with its sentence."""
        exit_code: ExitCode = self.exit_codes[name].format(problem=problem)
        return exit_code

    def time_limit(self) -> dict[str, orm.Int]:
        """The time of a job in s as the input `max_seconds` of a calcfunction, nothing where there is no limit."""
        limit = self.inputs.cp2k.cp2k.metadata.options.get('max_wallclock_seconds')
        return {'max_seconds': orm.Int(limit)} if limit else {}

    def submit_cp2k(
        self,
        name: str,
        parameters: orm.Dict,
        structure: orm.StructureData,
        trajectory: orm.TrajectoryData | None = None,
        monitors: Mapping[str, orm.Dict] | None = None,
        *,
        continues: bool = True,
    ) -> None:
        """Submit CP2K.

        :param name: call link label; the node is in the context under `<name>_node`.
        :param parameters: the whole CP2K input.
        :param structure: the structure to start from.
        :param trajectory: the frames of a replay.
        :param monitors: what looks at the job while it runs, beside the monitors of the input.
        :param continues: whether another job goes on where its time is up.
        """
        inputs = AttributeDict(self.exposed_inputs(Cp2kJobsWorkChain, 'cp2k'))
        inputs.cp2k.structure = structure
        inputs.cp2k.parameters = parameters
        if trajectory is not None:
            inputs.cp2k.trajectory = trajectory
        if monitors:
            inputs.cp2k.monitors = {**inputs.cp2k.get('monitors', {}), **monitors}
        settings = inputs.cp2k.settings.get_dict() if 'settings' in inputs.cp2k else {}
        wanted = [*settings.get('additional_retrieve_list', []), ENERGY_FILE, EARLIER_RESTART_FILE]
        inputs.cp2k.settings = orm.Dict(settings | {'additional_retrieve_list': wanted})
        options = dict(inputs.cp2k.metadata.options)
        options['environment_variables'] = _UNBUFFERED | dict(options.get('environment_variables', {}))
        if options.get('parser_name') in (None, Cp2kCalculation._DEFAULT_PARSER):
            options['parser_name'] = 'sis.cp2k'
        inputs.cp2k.metadata = AttributeDict({**inputs.cp2k.metadata, 'options': options})
        if not continues:
            own = inputs.handler_overrides.get_dict() if 'handler_overrides' in inputs else {}
            inputs.handler_overrides = orm.Dict(own | {'continue_out_of_walltime': {'enabled': False}})
        inputs.metadata = {'call_link_label': name}
        node = self.submit(Cp2kJobsWorkChain, **inputs)
        self.report(f'{name}: CP2K from {structure.get_formula()}, {node.process_label}<{node.pk}>')
        self.to_context(**{f'{name}_node': node})

    @staticmethod
    def jobs_of(node: orm.WorkChainNode) -> list[orm.CalcJobNode]:
        """The CP2K jobs of a base workchain in their order."""
        jobs = [job for job in node.called if isinstance(job, orm.CalcJobNode)]
        return sorted(jobs, key=lambda job: job.ctime)

    def folders_of(self, name: str) -> dict[str, orm.FolderData]:
        """What the jobs of a run left, under `<run>_job_<number>`."""
        jobs = self.jobs_of(self.ctx[f'{name}_node'])
        return {
            f'{name}_job_{number:02d}': job.outputs.retrieved
            for number, job in enumerate(jobs, start=1)
            if 'retrieved' in job.outputs
        }

    @staticmethod
    def stop_reason(node: orm.WorkChainNode, job: orm.CalcJobNode | None) -> str:
        """Why CP2K stopped, in one sentence: from its own output, or else from the exit code."""
        if node.exit_status == Cp2kJobsWorkChain.exit_codes.ERROR_CUT_SHORT.status:
            return str(node.exit_message)
        text = read_text(job.outputs.retrieved, OUTPUT_FILE) if job is not None and 'retrieved' in job.outputs else ''
        reason = abort_reason(text) if text else None
        if reason == CUT_SHORT and job is not None and job.exit_message:  # which knows the scheduler's output too
            reason = str(job.exit_message)
        return reason or (job.exit_message if job is not None else None) or f'{node.exit_message or node.process_state}'

    def read(self, name: str, **given: orm.TrajectoryData) -> orm.ArrayData | None:
        """Read what the jobs of a run left.

        :param name: of the run; its trajectory, if there is one, is in the context from here on.
        :param given: `trajectory` or `frames` of :func:`aiida_sis.calculations.label.read_jobs`.
        :returns: the series of the run, None where its jobs left nothing.
        """
        folders = self.folders_of(name)
        if not folders:
            return None
        made = call(read_jobs, f'{name}_frames', **given, **folders)
        self.ctx.series[name] = made['series']
        self.ctx.trajectories[name] = made.get('trajectory', given.get('trajectory'))
        series: orm.ArrayData = made['series']
        return series

    def gather(self, numbers: Mapping[str, list[int]]) -> orm.TrajectoryData | None:
        """Bring the good frames of all runs together, without a copy where all of one run is good.

        :param numbers: of each run its good frames, counted from 0.
        :returns: None where there is no good frame.
        """
        wanted = {name: rows for name, rows in numbers.items() if rows}
        trajectories: dict[str, orm.TrajectoryData] = {name: self.ctx.trajectories[name] for name in wanted}
        if len(wanted) == 1 and all(len(wanted[name]) == node.numsteps for name, node in trajectories.items()):
            return next(iter(trajectories.values()))
        good: orm.TrajectoryData | None = None
        if wanted:
            good = call(collect_frames, 'good_frames', orm.Dict(wanted), **trajectories)
        return good

    def attach_dataset(self, trajectory: orm.TrajectoryData, *, forces_of_all: bool = False) -> orm.Dict:
        """Turn good frames into the outputs `trajectory` and `dataset`.

        :param trajectory: the good frames.
        :param forces_of_all: whether the forces on fixed atoms are true ones, not the zeros of a constraint.
        :returns: the report of the dataset.
        """
        self.out('trajectory', trajectory)
        settings = self.settings
        wanted = settings.dataset.model_dump(mode='json') | {'label': settings.label}
        wanted['fixed_atoms'] = [] if forces_of_all else list(settings.fixed_atoms)
        outputs = call(
            dataset_from_trajectory, 'dataset', trajectory, self.inputs.type_map, self.inputs.seed, orm.Dict(wanted)
        )
        if 'dataset' in outputs:
            self.out('dataset', outputs['dataset'])
        report: orm.Dict = outputs['report']
        return report


def call(function: Any, label: str, *args: orm.Data, **kwargs: orm.Data) -> Any:
    """Call a calcfunction under a link label, so that the graph tells the steps of a label apart."""
    return function(*args, **kwargs, metadata={'call_link_label': label})


def check_level(level: Mapping[str, Any], symbols: Collection[str], cp2k: Mapping[str, Any]) -> str | None:
    """Find what CP2K would refuse of a level of theory for some atoms only once it runs.

    :param level: CP2K input tree.
    :param symbols: element of each atom.
    :param cp2k: the inputs of the job, for the basis sets and potentials that come as nodes.
    :returns: one sentence, or None.
    """
    with_basis, with_potential = (
        {name.rstrip('0123456789') for key in keys for name in cp2k.get(key, {})}
        for keys in (('basissets',), ('pseudos', 'pseudos_upf'))
    )
    return (
        check_level_of_theory(level)
        or check_elements(level, sorted(set(symbols)), with_basis=with_basis, with_potential=with_potential)
        or check_electrons(level, symbols, with_potential)
    )


def version_of(code: orm.AbstractCode) -> str | None:
    """Ask the newest jobs of a code which CP2K they were: clusters renew it behind the same path.

    :param code: a code that runs CP2K.
    :returns: such as `2025.1`, None where no job has said so yet.
    """
    query = orm.QueryBuilder()
    query.append(orm.Node, filters={'id': code.pk}, tag='code')
    query.append(orm.CalcJobNode, with_incoming='code', tag='job')
    query.append(orm.FolderData, with_incoming='job', edge_filters={'label': 'retrieved'}, project='*')
    query.order_by({'job': {'ctime': 'desc'}})
    for (folder,) in query.limit(_JOBS_ASKED).all():
        version = read_version(read_text(folder, OUTPUT_FILE))
        if version:
            return version
    return None
