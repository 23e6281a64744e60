"""Repeat what a machine spoilt, and count the repeats against the progress made."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import BaseRestartWorkChain, CalcJob, ProcessHandlerReport

#: So many jobs in a row that a machine ended before they made any progress are the end of it.
MOST_WITHOUT_PROGRESS = 3
#: What AiiDA and its schedulers say of a job that a machine spoilt.
MACHINE_FAULTS = (
    CalcJob.exit_codes.ERROR_NO_RETRIEVED_FOLDER,
    CalcJob.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY,
    CalcJob.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME,
    CalcJob.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
)


class RepeatingWorkChain(BaseRestartWorkChain):
    """The base of the workchains whose jobs a machine may cut short: a kill, a limit of time, a full disk.

    Such a job says nothing of what it computed. It is repeated, from where it was if it left something to go on from.
    A job that made progress wipes out the ones before it that made none, so that a long computation is not given up for
    the number of its faults.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the exit code.

        :param spec: the process specification.
        """
        super().define(spec)
        spec.inputs['max_iterations'].default = lambda: orm.Int(1000)
        spec.exit_code(
            420,
            'ERROR_CUT_SHORT',
            invalidates_cache=True,
            message='The machine ended {n} jobs in a row before they got any further, which says nothing of what they '
            'computed: {reason}',
        )

    def setup(self) -> None:
        """Set the counters."""
        super().setup()
        self.ctx.without_progress = 0
        self.ctx.disk_was_full = False

    def repeat(
        self, calculation: orm.CalcJobNode, how: str, *, progressed: bool, disk_full: bool = False
    ) -> ProcessHandlerReport:
        """Run a job again that a machine ended, or give up where the last ones got nowhere.

        Where the disk was full twice in a row the workchain pauses, since only a person can make room.

        :param calculation: the job.
        :param how: what the next job does, for the report.
        :param progressed: whether the job got further than the one before it.
        :param disk_full: whether the disk of its work directory was full.
        :returns: a report that restarts it or ends the workchain.
        """
        calculation.base.caching.is_valid_cache = False
        self.ctx.without_progress = 0 if progressed else self.ctx.without_progress + 1
        reason = calculation.exit_message or f'exit status {calculation.exit_status}'
        self.report(f'<{calculation.pk}> was ended by the machine ({reason.rstrip(".")}): {how}')
        if disk_full and self.ctx.disk_was_full:
            self.ctx.without_progress, self.ctx.disk_was_full = 0, False
            computer = calculation.computer.label if calculation.computer is not None else 'the computer'
            self.pause(
                f'The disk of the work directories on {computer} is full: make room, then `verdi process play '
                f'{self.node.pk}`.'
            )
            return ProcessHandlerReport(True)
        self.ctx.disk_was_full = disk_full
        if self.ctx.without_progress >= MOST_WITHOUT_PROGRESS:
            exit_code = self.exit_codes.ERROR_CUT_SHORT.format(n=self.ctx.without_progress, reason=reason)
            return ProcessHandlerReport(True, exit_code)
        return ProcessHandlerReport(True)
