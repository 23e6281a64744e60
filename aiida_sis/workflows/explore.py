"""Run one MD until it is over or until it fails catastrophically; both are results."""

from __future__ import annotations

from typing import Any

from aiida import engine, orm
from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ProcessHandlerReport, process_handler

from aiida_sis.calculations.md import LammpsMdCalculation

while_: Any = engine.while_  # its type only takes the methods of `WorkChain` itself as steps


class ExploreWorkChain(BaseRestartWorkChain):
    """Run `sis.lammps.md`, and repeat it when it was cut short by the machine and not by the physics."""

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
        self.ctx.repeats = 0

    @process_handler(priority=400, exit_codes=[LammpsMdCalculation.exit_codes.ERROR_LOG_TRUNCATED])
    def repeat_cut_short(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Repeat, once, an MD that was killed from outside (walltime, node failure): its series says nothing of the
        physics.

        :param calculation: the MD that was cut short.
        :returns: a report that restarts it, or nothing the second time.
        """
        if self.ctx.repeats >= 1:
            return None
        self.ctx.repeats += 1
        self.report(f'{calculation.pk} was cut short by the machine: it is run once more')
        return ProcessHandlerReport(True)
