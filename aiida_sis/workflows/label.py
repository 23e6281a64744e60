"""Label a structure: a short AIMD whose frames a potential can learn from."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from aiida import engine, orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, WorkChain
from aiida_cp2k.calculations import Cp2kCalculation
from aiida_cp2k.workchains import Cp2kBaseWorkChain

from aiida_sis.calculations.dataset import dataset_from_trajectory
from aiida_sis.calculations.label import (
    collect_frames,
    frames_by_aimd,
    make_aimd_input,
    make_optimisation_input,
    read_text,
    series_by_aimd,
    summarise_label,
)
from aiida_sis.core.cp2k import check_elements, check_level_of_theory
from aiida_sis.core.cp2k_output import ENERGY_FILE, OUTPUT_FILE, abort_reason
from aiida_sis.core.label import (
    FAILED,
    NORMAL,
    SLOW,
    AimdVerdict,
    LabelSettings,
    check_label_parameters,
    check_start,
    describe,
    judge,
    read_label_settings,
)
from aiida_sis.data.dataset import DatasetData
from aiida_sis.workflows.cp2k_base import SingleTrajectoryWorkChain

OUT_OF_WALLTIME = Cp2kCalculation.exit_codes.ERROR_OUT_OF_WALLTIME.status

if_: Any = engine.if_  # its type only takes the methods of `WorkChain` itself as steps


def validate_parameters(value: orm.Dict | None, _: Any) -> str | None:
    """Refuse parameters that can't be meant, in one sentence."""
    return None if value is None else check_label_parameters(value.get_dict())


class LabelWorkChain(WorkChain):
    """Run the AIMD that labels a structure; where it goes wrong, optimise the geometry and run it once more.

    An AIMD goes wrong by failing, by heating out of its ensemble, or by being slower than a stated budget. What was
    good before that is kept. An AIMD that heats again after the optimisation is reported as a possible exotherm.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports, the outline and the exit codes."""
        super().define(spec)
        spec.expose_inputs(
            Cp2kBaseWorkChain,
            namespace='cp2k',
            exclude=('cp2k.structure', 'cp2k.trajectory', 'cp2k.parent_calc_folder'),
            namespace_options={
                'help': 'CP2K; `cp2k.cp2k.parameters` is the level of theory, the motion is added to it.'
            },
        )
        spec.input('structure', valid_type=orm.StructureData, help='The structure to start from.')
        spec.input(
            'velocities',
            valid_type=orm.ArrayData,
            required=False,
            help='Array `velocities` (n_atoms, 3) in Å/ps; CP2K draws them at the temperature where there are none.',
        )
        spec.input('type_map', valid_type=orm.List, help='The elements of the whole run, in their order.')
        spec.input('seed', valid_type=orm.Int, help='Seed of the velocities, the thermostat and the split of the data.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            default=lambda: orm.Dict({}),
            validator=validate_parameters,
            help='The fields of `aiida_sis.core.label.LabelSettings`; times in fs, temperatures in K, forces in eV/Å.',
        )
        spec.outline(
            cls.validate,
            if_(cls.should_optimise_first)(
                cls.optimise_geometry,
                cls.inspect_optimisation,
            ),
            if_(cls.has_start)(
                cls.run_aimd,
                cls.inspect_aimd,
            ),
            if_(cls.aimd_of_snapshot_went_wrong)(
                cls.optimise_geometry,
                cls.inspect_optimisation,
                if_(cls.has_start)(
                    cls.run_aimd,
                    cls.inspect_aimd,
                ),
            ),
            cls.make_dataset,
            cls.results,
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
            'temperatures',
            valid_type=orm.ArrayData,
            required=False,
            help='Of every AIMD: `time_fs`, `temperature` (K), `aimd` (which run, from 1), each (n_frames,).',
        )
        spec.output(
            'results', valid_type=orm.Dict, help='Route, verdicts, cost; nothing that was computed is left out.'
        )
        spec.output('optimised_structure', valid_type=orm.StructureData, required=False, help='Start of the last AIMD.')
        spec.exit_code(201, 'ERROR_START', message='{problem}')
        spec.exit_code(202, 'ERROR_LEVEL_OF_THEORY', message='{problem}')
        spec.exit_code(301, 'ERROR_NO_OUTPUT', message='CP2K left no output to read: {problem}')
        spec.exit_code(
            302,
            'ERROR_NO_ENERGIES',
            message='CP2K left no energy file, so nothing tells whether its frames are good. {problem}',
        )
        spec.exit_code(
            401, 'ERROR_OPTIMISATION_FAILED', message='The geometry optimisation gave no structure: {problem}'
        )
        spec.exit_code(402, 'ERROR_AIMD_FAILED', message='The AIMD failed from an optimised structure too: {problem}')
        spec.exit_code(403, 'ERROR_NO_GOOD_FRAMES', message='No frame of the AIMD is fit to be learnt: {problem}')

    # ------------------------------------------------------------------------------------------------------- validate

    def validate(self) -> ExitCode | None:
        """Refuse what CP2K or the training would refuse later, before anything is submitted."""
        self.ctx.settings = self.inputs.parameters.get_dict()
        self.ctx.structure = self.inputs.structure
        self.ctx.optimisation = None
        self.ctx.verdicts = []
        self.ctx.aimds = []
        self.ctx.failure = None
        structure, cp2k = self.inputs.structure, self.inputs.cp2k.cp2k
        elements = {kind.symbol for kind in structure.kinds}
        shapes = None
        if 'velocities' in self.inputs:
            arrays = self.inputs.velocities
            shapes = {name: tuple(arrays.get_shape(name)) for name in arrays.get_arraynames()}
        problem = check_start(elements, len(structure.sites), self.inputs.type_map.get_list(), shapes)
        if problem:
            return self._exit('ERROR_START', problem)
        parameters = cp2k.parameters.get_dict()
        problem = check_level_of_theory(parameters) or check_elements(
            parameters,
            elements,
            with_basis={re.sub(r'\d+$', '', name) for name in cp2k.get('basissets', {})},
            with_potential={re.sub(r'\d+$', '', name) for name in cp2k.get('pseudos', {})},
        )
        return self._exit('ERROR_LEVEL_OF_THEORY', problem) if problem else None

    @property
    def settings(self) -> LabelSettings:
        """The parameters, typed."""
        return read_label_settings(self.ctx.settings)

    @property
    def verdicts(self) -> list[AimdVerdict]:
        """The verdicts of the AIMD runs so far, typed."""
        return [AimdVerdict(**verdict) for verdict in self.ctx.verdicts]

    # ------------------------------------------------------------------------------------------------------- optimise

    def should_optimise_first(self) -> bool:
        """Whether the structure was built rather than sampled."""
        return self.settings.optimise_first

    def optimise_geometry(self) -> None:
        """Relax the structure at the level of theory of the labels."""
        level_of_theory = self.inputs.cp2k.cp2k.parameters
        parameters = _call(make_optimisation_input, 'optimisation_input', level_of_theory, self.inputs.parameters)
        self._submit_cp2k('optimisation', parameters, [])

    def inspect_optimisation(self) -> None:
        """Take the last structure of the optimisation, converged or not."""
        node = self.ctx.optimisation_node
        job = self._jobs(node)[-1] if self._jobs(node) else None
        reason = self._stop_reason(node, job)
        converged = node.is_finished_ok
        self.ctx.optimisation = {'converged': converged, 'reason': '' if converged else reason}
        if job is not None and 'output_structure' in job.outputs:
            self.ctx.structure = job.outputs.output_structure
            self.out('optimised_structure', self.ctx.structure)
            if not converged:
                self.report(f'the optimisation did not converge, its last structure is used: {reason}')
            return
        self.ctx.failure = ['ERROR_OPTIMISATION_FAILED', reason]
        self.report(f'the optimisation gave no structure: {reason}')

    def has_start(self) -> bool:
        """Whether there is a structure to start an AIMD from."""
        return self.ctx.failure is None

    # ----------------------------------------------------------------------------------------------------------- AIMD

    def run_aimd(self) -> None:
        """Run the AIMD: from the snapshot with its velocities, or from the optimised structure with new ones."""
        number = len(self.ctx.aimds) + 1
        inputs = {'seed': self.inputs.seed if number == 1 else orm.Int(self.inputs.seed.value + 1)}
        if 'velocities' in self.inputs and self.ctx.optimisation is None:
            inputs['velocities'] = self.inputs.velocities
        limit = self.inputs.cp2k.cp2k.metadata.options.get('max_wallclock_seconds')
        if limit:
            inputs['max_seconds'] = orm.Int(limit)
        level_of_theory = self.inputs.cp2k.cp2k.parameters
        parameters = _call(make_aimd_input, f'aimd_{number}_input', level_of_theory, self.inputs.parameters, **inputs)
        self._submit_cp2k(f'aimd_{number}', parameters, [ENERGY_FILE])
        self.ctx.aimds.append(f'aimd_{number}')

    def inspect_aimd(self) -> None:
        """Judge the AIMD by whether it ended, its temperature and its pace."""
        name = self.ctx.aimds[-1]
        node = self.ctx[f'{name}_node']
        jobs = self._jobs(node)
        series = series_by_aimd(self._folders(name)).get(name)
        reason = None if node.is_finished_ok else self._stop_reason(node, jobs[-1] if jobs else None)
        if series is None or not jobs:
            self.ctx.failure = ['ERROR_NO_OUTPUT', reason]
            return
        if node.is_finished_ok and len(series.steps) == 0:
            self.ctx.failure = ['ERROR_NO_ENERGIES', '']
            return
        verdict = judge(
            name,
            series,
            self.settings,
            len(self.inputs.structure.sites),
            n_unconverged=int((~frames_by_aimd(self._folders(name))[name].converged).sum()),
            failure=reason,
            ran_out_of_time=jobs[-1].exit_status == OUT_OF_WALLTIME,
            from_optimised=self.ctx.optimisation is not None,
        )
        self.ctx.verdicts.append(verdict.as_dict())
        if verdict.verdict != NORMAL:
            self.report(f'{name}<{node.pk}> is {verdict.verdict}: {verdict.reason}')
        if verdict.verdict == FAILED and verdict.from_optimised:
            self.ctx.failure = ['ERROR_AIMD_FAILED', verdict.reason]

    def aimd_of_snapshot_went_wrong(self) -> bool:
        """Whether an AIMD that did not start from an optimised structure failed, heated or was too slow."""
        return self.ctx.failure is None and self.ctx.optimisation is None and self.verdicts[-1].verdict != NORMAL

    # -------------------------------------------------------------------------------------------------------- dataset

    def make_dataset(self) -> None:
        """Turn the good frames into a dataset."""
        self.ctx.report = None
        trajectory = self._good_frames()
        if trajectory is None:
            return
        self.out('trajectory', trajectory)
        settings = self.settings
        wanted = {**asdict(settings.dataset), 'generation': settings.generation, 'label': settings.label}
        wanted['fractions'] = list(settings.dataset.fractions)
        outputs = _call(
            dataset_from_trajectory, 'dataset', trajectory, self.inputs.type_map, self.inputs.seed, orm.Dict(wanted)
        )
        self.ctx.report = outputs['report']
        if 'dataset' in outputs:
            self.out('dataset', outputs['dataset'])

    def _good_frames(self) -> orm.TrajectoryData | None:
        """The trajectory of a run that went well as it is, otherwise what is good in all runs together."""
        first = self.verdicts[0] if len(self.verdicts) == 1 else None
        if first is not None and first.verdict in (NORMAL, SLOW) and not first.n_unconverged:
            outputs = self.ctx[f'{first.name}_node'].outputs
            if 'output_trajectory' in outputs and _is_whole(outputs.output_trajectory, first.n_frames):
                trajectory: orm.TrajectoryData = outputs.output_trajectory
                return trajectory
        cuts = {verdict.name: verdict.last_good_step for verdict in self.verdicts if verdict.n_good_frames}
        folders = {key: folder for name in cuts for key, folder in self._folders(name).items()}
        frames = frames_by_aimd(folders)
        if not any((frames[name].converged & (frames[name].steps <= step)).any() for name, step in cuts.items()):
            return None
        collected: orm.TrajectoryData = _call(collect_frames, 'good_frames', orm.Dict(cuts), **folders)
        return collected

    def results(self) -> ExitCode | None:
        """Attach what the label cost and gave, and end with the exit code that says which."""
        folders = {key: folder for name in self.ctx.aimds for key, folder in self._folders(name).items()}
        report = {} if self.ctx.report is None else {'report': self.ctx.report}
        facts = describe(self.verdicts, optimise_first=self.settings.optimise_first, optimisation=self.ctx.optimisation)
        if facts['possible_exotherm']:
            self.report(
                'the AIMD heated although it started from an optimised structure, a possible exotherm: '
                'widen the window or tighten the thermostat if the reaction is meant to happen'
            )
        outputs = _call(summarise_label, 'summary', orm.Dict(facts), **report, **folders)
        self.out_many(outputs)
        if self.ctx.failure is not None:
            name, problem = self.ctx.failure
            return self._exit(name, f'{problem} Good frames kept: {outputs["results"]["kept_frames"]}.')
        if 'dataset' not in self.outputs:
            reasons = ' '.join(verdict.reason for verdict in self.verdicts if verdict.reason)
            problem = reasons or 'every frame was refused, see the report of the dataset.'
            return self._exit('ERROR_NO_GOOD_FRAMES', problem)
        return None

    def _exit(self, name: str, problem: str) -> ExitCode:
        exit_code: ExitCode = self.exit_codes[name].format(problem=problem)
        return exit_code

    # ----------------------------------------------------------------------------------------------------------- CP2K

    def _submit_cp2k(self, name: str, parameters: orm.Dict, retrieve: list[str]) -> None:
        """Submit CP2K from the present structure.

        :param name: call link label; the node is in the context under `<name>_node`.
        :param parameters: the whole CP2K input.
        :param retrieve: files to bring back beside those that aiida-cp2k asks for.
        """
        inputs = AttributeDict(self.exposed_inputs(Cp2kBaseWorkChain, 'cp2k'))
        inputs.cp2k.structure = self.ctx.structure
        inputs.cp2k.parameters = parameters
        if retrieve:
            settings = inputs.cp2k.settings.get_dict() if 'settings' in inputs.cp2k else {}
            settings['additional_retrieve_list'] = [*settings.get('additional_retrieve_list', []), *retrieve]
            inputs.cp2k.settings = orm.Dict(settings)
        inputs.metadata = {'call_link_label': name}
        node = self.submit(SingleTrajectoryWorkChain, **inputs)
        self.report(f'{name}: CP2K from {self.ctx.structure.get_formula()}, {node.process_label}<{node.pk}>')
        self.to_context(**{f'{name}_node': node})

    @staticmethod
    def _jobs(node: orm.WorkChainNode) -> list[orm.CalcJobNode]:
        """The CP2K jobs of a base workchain in their order."""
        jobs = [job for job in node.called if isinstance(job, orm.CalcJobNode)]
        return sorted(jobs, key=lambda job: job.ctime)

    def _folders(self, name: str) -> dict[str, orm.FolderData]:
        """What the jobs of an AIMD left, under `<aimd>_job_<number>`."""
        jobs = self._jobs(self.ctx[f'{name}_node'])
        return {
            f'{name}_job_{number:02d}': job.outputs.retrieved
            for number, job in enumerate(jobs, start=1)
            if 'retrieved' in job.outputs
        }

    def _stop_reason(self, node: orm.WorkChainNode, job: orm.CalcJobNode | None) -> str:
        """Why CP2K stopped, in one sentence: from its own output, or else from the exit code."""
        text = read_text(job.outputs.retrieved, OUTPUT_FILE) if job is not None and 'retrieved' in job.outputs else ''
        reason = abort_reason(text) if text else None
        return reason or (job.exit_message if job is not None else None) or f'{node.exit_message or node.process_state}'


def _call(function: Any, label: str, *args: orm.Data, **kwargs: orm.Data) -> Any:
    """Call a calcfunction under a link label, so that the graph tells the steps of a label apart."""
    return function(*args, **kwargs, metadata={'call_link_label': label})


def _is_whole(trajectory: orm.TrajectoryData, n_frames: int) -> bool:
    """Whether a trajectory holds every array for each of the frames."""
    names = trajectory.get_arraynames()
    return all(
        name in names and trajectory.get_shape(name)[0] == n_frames
        for name in ('positions', 'cells', 'energies', 'forces')
    )
