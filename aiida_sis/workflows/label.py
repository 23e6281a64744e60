"""Label a structure: a short AIMD whose frames a potential can learn from."""

from __future__ import annotations

from typing import Any

from aiida import engine, orm
from aiida.engine import ExitCode
from aiida_cp2k.calculations import Cp2kCalculation

from aiida_sis.calculations.label import (
    collect_frames,
    energies_of,
    good_frames,
    make_aimd_input,
    make_optimisation_input,
    read_aimd,
    summarise_label,
)
from aiida_sis.calculations.monitor import INTERVAL_S
from aiida_sis.calculations.structure import symbols_of, validate_masses
from aiida_sis.core.cp2k.verdict import FAILED, NORMAL, cp2k_degrees_of_freedom, describe, judge
from aiida_sis.workflows.cp2k_base import LabellingWorkChain, call

OUT_OF_WALLTIME = Cp2kCalculation.exit_codes.ERROR_OUT_OF_WALLTIME.status

if_: Any = engine.if_  # its type only takes the methods of `WorkChain` itself as steps


class LabelWorkChain(LabellingWorkChain):
    """Run the AIMD that labels a structure; where it goes wrong, optimise the geometry and run it once more.

    An AIMD goes wrong by failing, by heating out of its ensemble, or by being slower than a stated budget. What was
    good before that is kept. An AIMD that heats again after the optimisation is reported as a possible exotherm.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports, the outline and the exit codes."""
        super().define(spec)
        spec.input(
            'structure',
            valid_type=orm.StructureData,
            validator=validate_masses,
            help='The structure to start from.',
        )
        spec.input(
            'velocities',
            valid_type=orm.ArrayData,
            required=False,
            help='Array `velocities` (n_atoms, 3) in Å/ps; CP2K draws them at the temperature where there are none.',
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
        spec.output(
            'temperatures',
            valid_type=orm.ArrayData,
            required=False,
            help='Of every AIMD: `time_fs`, `temperature` (K), `aimd` (which run, from 1), each (n_frames,).',
        )
        spec.output('optimised_structure', valid_type=orm.StructureData, required=False, help='Start of the last AIMD.')
        spec.exit_code(
            302,
            'ERROR_NO_ENERGIES',
            message='Nothing tells whether the frames that CP2K left are good: {problem}',
        )
        spec.exit_code(
            401, 'ERROR_OPTIMISATION_FAILED', message='The geometry optimisation gave no structure: {problem}'
        )
        spec.exit_code(402, 'ERROR_AIMD_FAILED', message='The AIMD failed from an optimised structure too: {problem}')

    # ------------------------------------------------------------------------------------------------------- validate

    def validate(self) -> ExitCode | None:
        """Refuse what CP2K or the training would refuse later, before anything is submitted."""
        self.ctx.structure = self.inputs.structure
        self.ctx.optimisation = None
        self.ctx.verdicts = []
        self.ctx.aimds = []
        self.ctx.failure = None
        shapes = None
        if 'velocities' in self.inputs:
            arrays = self.inputs.velocities
            shapes = {name: tuple(arrays.get_shape(name)) for name in arrays.get_arraynames()}
        return self.check_inputs(symbols_of(self.inputs.structure), shapes)

    # ------------------------------------------------------------------------------------------------------- optimise

    def should_optimise_first(self) -> bool:
        """Whether the structure was built rather than sampled."""
        return self.settings.optimise_first

    def optimise_geometry(self) -> None:
        """Relax the structure at the level of theory of the labels."""
        level_of_theory = self.inputs.cp2k.cp2k.parameters
        parameters = call(make_optimisation_input, 'optimisation_input', level_of_theory, self.inputs.parameters)
        self.submit_cp2k('optimisation', parameters, self.ctx.structure)

    def inspect_optimisation(self) -> None:
        """Take the last structure of the optimisation, converged or not."""
        node = self.ctx.optimisation_node
        job = self.jobs_of(node)[-1] if self.jobs_of(node) else None
        reason = self.stop_reason(node, job)
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
        inputs = {'seed': self.inputs.seed if number == 1 else orm.Int(self.inputs.seed.value + 1)} | self.time_limit()
        if 'velocities' in self.inputs and self.ctx.optimisation is None:
            inputs['velocities'] = self.inputs.velocities
        level_of_theory = self.inputs.cp2k.cp2k.parameters
        parameters = call(make_aimd_input, f'aimd_{number}_input', level_of_theory, self.inputs.parameters, **inputs)
        self.submit_cp2k(f'aimd_{number}', parameters, self.ctx.structure, monitors={'hot': self.hot_monitor()})
        self.ctx.aimds.append(f'aimd_{number}')

    def hot_monitor(self) -> orm.Dict:
        """What stops an AIMD that has left its ensemble, by the rule that judges it afterwards."""
        settings = self.settings
        rule = {
            'temperature_k': settings.temperature_k,
            'n_dof': cp2k_degrees_of_freedom(len(self.inputs.structure.sites), len(settings.fixed_atoms)),
            'sigmas': settings.hot_sigmas,
        }
        return orm.Dict({'entry_point': 'sis.stop_hot_aimd', 'kwargs': rule, 'minimum_poll_interval': INTERVAL_S})

    def inspect_aimd(self) -> None:
        """Judge the AIMD by whether it ended, its temperature and its pace."""
        name = self.ctx.aimds[-1]
        node = self.ctx[f'{name}_node']
        jobs = self.jobs_of(node)
        reason = None if node.is_finished_ok else self.stop_reason(node, jobs[-1] if jobs else None)
        folders = self.folders_of(name)
        if not folders:
            self.ctx.failure = ['ERROR_NO_OUTPUT', reason]
            return
        theirs = {'trajectory': node.outputs.output_trajectory} if 'output_trajectory' in node.outputs else {}
        made = call(read_aimd, f'{name}_frames', **theirs, **folders)
        self.ctx[f'{name}_series'] = made['series']
        self.ctx[f'{name}_trajectory'] = made.get('trajectory', theirs.get('trajectory'))
        series = energies_of(made['series'])
        converged, known = (made['series'].get_array(one) for one in ('converged', 'known'))
        if node.is_finished_ok and (len(series.steps) == 0 or not known.any()):
            missing = 'the energies of its frames in aiida.out' if len(series.steps) else 'the file aiida-1.ener'
            self.ctx.failure = ['ERROR_NO_ENERGIES', f'the job <{jobs[-1].pk}> lacks {missing}.']
            return
        verdict = judge(
            name,
            series,
            self.settings,
            len(self.inputs.structure.sites),
            n_unconverged=int((known & ~converged).sum()),
            n_unknown=int((~known).sum()),
            failure=reason,
            ran_out_of_time=jobs[-1].exit_status == OUT_OF_WALLTIME,
            from_optimised=self.ctx.optimisation is not None,
        )
        self.ctx.verdicts.append(verdict)
        if verdict.reason:
            self.report(f'{name}<{node.pk}> is {verdict.verdict}: {verdict.reason}')
        if verdict.verdict == FAILED and verdict.from_optimised:
            self.ctx.failure = ['ERROR_AIMD_FAILED', verdict.reason]

    def aimd_of_snapshot_went_wrong(self) -> bool:
        """Whether an AIMD that did not start from an optimised structure failed, heated or was too slow."""
        return self.ctx.failure is None and self.ctx.optimisation is None and self.ctx.verdicts[-1].verdict != NORMAL

    # -------------------------------------------------------------------------------------------------------- dataset

    def make_dataset(self) -> None:
        """Turn the good frames into a dataset."""
        self.ctx.report = None
        trajectory = self._good_frames()
        if trajectory is not None:
            self.ctx.report = self.attach_dataset(trajectory)

    def _good_frames(self) -> orm.TrajectoryData | None:
        """The trajectory of a run as it is where all of it is good, otherwise what is good in all runs together."""
        cuts = {verdict.name: verdict.last_good_step for verdict in self.ctx.verdicts}
        good = {name: good_frames(self.ctx[f'{name}_series'], step) for name, step in cuts.items()}
        names = [name for name in cuts if good[name].any()]
        if not names:
            return None
        if len(names) == 1 and good[names[0]].all():
            trajectory: orm.TrajectoryData = self.ctx[f'{names[0]}_trajectory']
            return trajectory
        nodes = {key: self.ctx[key] for name in names for key in (f'{name}_trajectory', f'{name}_series')}
        limits = orm.Dict({name: cuts[name] for name in names})
        collected: orm.TrajectoryData = call(collect_frames, 'good_frames', limits, **nodes)
        return collected

    def results(self) -> ExitCode | None:
        """Attach what the label cost and gave, and end with the exit code that says which."""
        parts = {name: self.ctx[f'{name}_series'] for name in self.ctx.aimds if f'{name}_series' in self.ctx}
        parts |= self.folders_of('optimisation') if 'optimisation_node' in self.ctx else {}
        report = {} if self.ctx.report is None else {'report': self.ctx.report}
        facts = describe(
            self.ctx.verdicts, optimise_first=self.settings.optimise_first, optimisation=self.ctx.optimisation
        )
        if facts['possible_exotherm']:
            self.report(
                'the AIMD heated although it started from an optimised structure, a possible exotherm: '
                'widen the window or tighten the thermostat if the reaction is meant to happen'
            )
        outputs = call(summarise_label, 'summary', orm.Dict(facts), **report, **parts)
        self.out_many(outputs)
        if self.ctx.failure is not None:
            name, problem = self.ctx.failure
            return self.exit_with(name, f'{problem} Good frames kept: {outputs["results"]["kept_frames"]}.')
        if 'dataset' not in self.outputs:
            reasons = ' '.join(verdict.reason for verdict in self.ctx.verdicts if verdict.reason)
            problem = reasons or 'every frame was refused, see the report of the dataset.'
            return self.exit_with('ERROR_NO_GOOD_FRAMES', problem)
        return None
