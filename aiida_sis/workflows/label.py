"""Label a structure: a short AIMD whose frames a potential can learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import engine, orm
from aiida.engine import ExitCode
from aiida_cp2k.calculations import Cp2kCalculation

from aiida_sis.calculations.label import (
    energies_of,
    make_aimd_input,
    make_optimisation_input,
    summarise_label,
)
from aiida_sis.calculations.monitor import INTERVAL_S
from aiida_sis.calculations.structure import symbols_of, validate_masses
from aiida_sis.core.cp2k.verdict import FAILED, NORMAL, AimdVerdict, cp2k_degrees_of_freedom, describe, judge
from aiida_sis.workflows.cp2k_base import LabellingWorkChain, call
from aiida_sis.workflows.cp2k_jobs import Cp2kJobsWorkChain

CUT_SHORT = Cp2kJobsWorkChain.exit_codes.ERROR_CUT_SHORT.status
OUT_OF_WALLTIME = Cp2kCalculation.exit_codes.ERROR_OUT_OF_WALLTIME.status

if_: Any = engine.if_  # its type only takes the methods of `WorkChain` itself as steps


class LabelWorkChain(LabellingWorkChain):
    """Run the AIMD that labels a structure; where it goes wrong, optimise the geometry and run it once more.

    What the machine or its time cut short has not gone wrong: it goes on from where it was.

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
        self.ctx.series, self.ctx.trajectories = {}, {}
        self.ctx.failure = None
        shapes = None
        if 'velocities' in self.inputs:
            arrays = self.inputs.velocities
            shapes = {name: tuple(arrays.get_shape(name)) for name in arrays.get_arraynames()}
        return self.check_inputs(symbols_of(self.inputs.structure), shapes)

    @property
    def verdicts(self) -> list[AimdVerdict]:
        """The verdicts of the AIMD runs so far."""
        found: list[AimdVerdict] = self.ctx.verdicts
        return found

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
        ended_by_machine = node.exit_status == CUT_SHORT
        self.ctx.failure = ['ERROR_CUT_SHORT' if ended_by_machine else 'ERROR_OPTIMISATION_FAILED', reason]
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
        monitors = {'hot': self.hot_monitor()}
        # A budget is kept, not stretched over another job.
        budget = self.settings.walltime_s
        continues = budget is None or parameters['GLOBAL']['WALLTIME'] < round(budget)
        self.submit_cp2k(f'aimd_{number}', parameters, self.ctx.structure, monitors=monitors, continues=continues)
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
        theirs = {'trajectory': node.outputs.output_trajectory} if 'output_trajectory' in node.outputs else {}
        ended_by_machine = node.exit_status == CUT_SHORT
        read = self.read(name, **theirs)
        if read is None:
            self.ctx.failure = ['ERROR_CUT_SHORT' if ended_by_machine else 'ERROR_NO_OUTPUT', reason]
            return
        series, converged, known = energies_of(read), read.get_array('converged'), read.get_array('known')
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
            ran_out_of_time=not node.is_finished_ok and jobs[-1].exit_status == OUT_OF_WALLTIME,
            ended_by_machine=ended_by_machine,
            n_jobs=len(jobs),
            from_optimised=self.ctx.optimisation is not None,
        )
        self.ctx.verdicts.append(verdict)
        if verdict.reason:
            self.report(f'{name}<{node.pk}> is {verdict.verdict}: {verdict.reason}')
        if ended_by_machine:
            self.ctx.failure = ['ERROR_CUT_SHORT', verdict.reason]
        elif verdict.verdict == FAILED and verdict.from_optimised:
            self.ctx.failure = ['ERROR_AIMD_FAILED', verdict.reason]

    def aimd_of_snapshot_went_wrong(self) -> bool:
        """Whether an AIMD that did not start from an optimised structure failed, heated or was too slow."""
        return self.ctx.failure is None and self.ctx.optimisation is None and self.verdicts[-1].verdict != NORMAL

    # -------------------------------------------------------------------------------------------------------- dataset

    def make_dataset(self) -> None:
        """Turn the good frames into a dataset."""
        self.ctx.report = None
        good: dict[str, list[int]] = {}
        for verdict in self.verdicts:
            series = self.ctx.series[verdict.name]
            before = series.get_array('frame_steps') <= verdict.last_good_step
            good[verdict.name] = np.flatnonzero(before & series.get_array('converged')).tolist()
        trajectory = self.gather(good)
        if trajectory is not None:
            self.ctx.report = self.attach_dataset(trajectory)

    def results(self) -> ExitCode | None:
        """Attach what the label cost and gave, and end with the exit code that says which."""
        folders = self.folders_of('optimisation') if 'optimisation_node' in self.ctx else {}
        report = {} if self.ctx.report is None else {'report': self.ctx.report}
        facts = describe(self.verdicts, optimise_first=self.settings.optimise_first, optimisation=self.ctx.optimisation)
        if facts['possible_exotherm']:
            self.report(
                'the AIMD heated although it started from an optimised structure, a possible exotherm: '
                'widen the window or tighten the thermostat if the reaction is meant to happen'
            )
        outputs = call(summarise_label, 'summary', orm.Dict(facts), **report, **self.ctx.series, **folders)
        self.out_many(outputs)
        if self.ctx.failure is not None:
            name, problem = self.ctx.failure
            return self.exit_with(name, f'{problem} Good frames kept: {outputs["results"]["kept_frames"]}.')
        if 'dataset' not in self.outputs:
            reasons = ' '.join(verdict.reason for verdict in self.verdicts if verdict.reason)
            problem = reasons or 'every frame was refused, see the report of the dataset.'
            return self.exit_with('ERROR_NO_GOOD_FRAMES', problem)
        return None
