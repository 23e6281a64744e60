"""Run one MD until it is over or until it fails catastrophically; both are results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import engine, orm
from aiida.common import AttributeDict
from aiida.engine import ProcessHandlerReport, process_handler

from aiida_deepmd.workflows.repeating import MACHINE_FAULTS, RepeatingWorkChain
from aiida_sis.calculations.deviation import judge_joined_deviation
from aiida_sis.calculations.md import LammpsMdCalculation
from aiida_sis.calculations.trajectories import choose_joined_snapshot, join_series, join_trajectories, select_snapshot
from aiida_sis.core.loop.record import MdResults
from aiida_sis.core.loop.seeds import derive_seed

_CODES: Any = LammpsMdCalculation.exit_codes
while_: Any = engine.while_  # its type only takes the methods of `WorkChain` itself as steps


class ExploreWorkChain(RepeatingWorkChain):
    """Run `sis.lammps.md`, in as many jobs as its length needs.

    An MD whose time is up goes on from its last frame; so does one that was killed from outside, since its log tells
    nothing of the physics. The series and the trajectory of all jobs come out as one.
    """

    _process_class = LammpsMdCalculation

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports and the outline.

        :param spec: the process specification.
        """
        super().define(spec)
        spec.expose_inputs(LammpsMdCalculation, namespace='md')
        spec.expose_outputs(LammpsMdCalculation)
        spec.outline(cls.setup, while_(cls.should_run_process)(cls.run_process, cls.inspect_process), cls.results)

    def setup(self) -> None:
        """Set the counters and the inputs of the MD."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(LammpsMdCalculation, 'md'))
        self.ctx.parts = []

    @process_handler(priority=500, exit_codes=[_CODES.ERROR_OUT_OF_WALLTIME])
    def continue_out_of_walltime(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the last frame of an MD whose time was up.

        :param calculation: the MD that ended in good order before its length was reached.
        :returns: a report that goes on, or ends where jobs in a row made no step.
        """
        return self._go_on(calculation)

    @process_handler(
        priority=400,
        exit_codes=[
            _CODES.ERROR_NO_LOG,
            _CODES.ERROR_LOG_UNREADABLE,
            _CODES.ERROR_LOG_TRUNCATED,
            _CODES.ERROR_NO_TRAJECTORY,
            _CODES.ERROR_LOG_DAMAGED,
            _CODES.ERROR_DISK_FULL,
            *MACHINE_FAULTS,
        ],
    )
    def repeat_cut_short(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the newest frame of an MD that the machine ended: killed, a full disk, a node that failed.

        Its log says nothing of the physics after that frame.

        :param calculation: the MD that was cut short.
        :returns: a report that goes on, or ends where jobs in a row got no further.
        """
        return self._go_on(calculation)

    def _go_on(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Start the next job from the newest frame, or from where this one began if it left none."""
        disk_full = calculation.exit_status == _CODES.ERROR_DISK_FULL.status
        parameters = self.ctx.inputs.parameters.get_dict()
        newest = _newest_frame(calculation)
        if newest is None or newest[0] <= parameters.get('elapsed_ps', 0.0):
            return self.repeat(calculation, 'it is run once more', progressed=False, disk_full=disk_full)
        reached, frames, index = newest
        start = select_snapshot(frames, orm.Int(index))
        self.ctx.parts.append(calculation)
        self.ctx.inputs.seed = orm.Int(derive_seed(self.inputs.md.seed.value, len(self.ctx.parts))).store()
        self.ctx.inputs.structure = start['structure']
        self.ctx.inputs.velocities = start['velocities']
        self.ctx.inputs.parameters = orm.Dict(parameters | {'elapsed_ps': reached}).store()
        return self.repeat(calculation, f'going on from {reached:g} ps', progressed=True, disk_full=disk_full)

    def get_outputs(self, node: orm.CalcJobNode) -> Mapping[str, orm.Node]:
        """Give the outputs of the last job, with the series and the trajectories of all jobs joined.

        :param node: the last job.
        :returns: the outputs of this workchain.
        """
        outputs: dict[str, Any] = dict(super().get_outputs(node))
        if self.ctx.parts:
            for name, join in (
                ('series', join_series),
                ('trajectory', join_trajectories),
                ('deviation', join_series),
                ('candidates', join_trajectories),
            ):
                parts = [job.outputs[name] for job in (*self.ctx.parts, node) if name in job.outputs]
                if parts:
                    outputs[name] = join(**{f'part_{number:03d}': part for number, part in enumerate(parts)})
            self._choose_snapshot(node, outputs)
            if 'deviation' in outputs:
                found = {name: outputs[name] for name in ('deviation', 'candidates') if name in outputs}
                outputs.update(judge_joined_deviation(outputs['results'], self.inputs.md.parameters, **found))
        return outputs

    def _choose_snapshot(self, node: orm.CalcJobNode, outputs: dict[str, Any]) -> None:
        """Let t_next reach back into the jobs before the one that met the catastrophe.

        :param node: the last job.
        :param outputs: the outputs of this workchain; changed.
        """
        if 'snapshots' not in outputs or MdResults.model_validate(outputs['results'].get_dict()).catastrophe is None:
            return
        rings = [job.outputs.snapshots for job in (*self.ctx.parts, node) if 'snapshots' in job.outputs]
        chosen = choose_joined_snapshot(
            outputs['results'],
            self.inputs.md.parameters,
            outputs['series'],
            outputs['trajectory'],
            **{f'part_{number:03d}': ring for number, ring in enumerate(rings)},
        )
        outputs.update(chosen)


def _newest_frame(calculation: orm.CalcJobNode) -> tuple[float, orm.TrajectoryData, int] | None:
    """Find the newest frame of an MD up to which its series reaches: a log that was cut off may end before the frames.

    :param calculation: the job.
    :returns: its time in ps, the trajectory that it is in and its number there; None where the job left no frame.
    """
    outputs = calculation.outputs
    end = float(outputs.series.get_array('step')[-1]) if 'series' in outputs else np.inf
    found = [
        (float(outputs[name].get_times()[index]), outputs[name], int(index))
        for name in ('trajectory', 'snapshots')
        if name in outputs
        for index in np.flatnonzero(outputs[name].get_stepids() <= end)[-1:]
    ]
    return max(found, key=lambda one: one[0], default=None)
