"""CP2K in as many jobs as it needs: what a machine cut short goes on from where it was."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ProcessHandlerReport, process_handler
from aiida_cp2k.calculations import Cp2kCalculation
from aiida_cp2k.workchains import Cp2kBaseWorkChain

from aiida_deepmd.workflows.repeating import MACHINE_FAULTS, RepeatingWorkChain
from aiida_sis.calculations.label import continue_aimd, find_restart
from aiida_sis.calculations.retrieved import read_text
from aiida_sis.core.cp2k.output import POSITION_FILE, read_xyz
from aiida_sis.parsers.cp2k import DISK_FULL

_CODES: Any = Cp2kCalculation.exit_codes
#: The folder of the job before, as aiida-cp2k links it, and CP2K's own name of its wave function.
_WAVE_FUNCTION = f'{Cp2kCalculation._DEFAULT_PARENT_CALC_FLDR_NAME}{Cp2kCalculation._DEFAULT_PROJECT_NAME}-RESTART.wfn'


class Cp2kJobsWorkChain(RepeatingWorkChain, Cp2kBaseWorkChain):
    """Run CP2K; an AIMD or an optimisation that the machine or its time cut short goes on from where it was.

    An AIMD goes on from CP2K's restart file: positions, velocities, thermostat and random numbers, and the wave
    function where that is still there. Its jobs keep their own files; who reads them puts every step once. A replay
    (REFTRAJ) is not repeated here: :class:`aiida_sis.workflows.replay.ReplayWorkChain` knows which frame it stopped at.
    """

    def setup(self) -> None:
        """Begin at the first step."""
        super().setup()
        self.ctx.step = 0
        self.ctx.continued_from = None

    @process_handler(priority=500, exit_codes=[_CODES.ERROR_OUTPUT_INCOMPLETE, DISK_FULL, *MACHINE_FAULTS])
    def repeat_what_the_machine_ended(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Go on from what CP2K left when it was killed, or when the disk was full.

        :param calculation: the job.
        """
        return self._go_on(calculation)

    @process_handler(priority=500, exit_codes=[_CODES.ERROR_OUT_OF_WALLTIME])
    def continue_out_of_walltime(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Go on from where CP2K ended in good order because its time was up.

        :param calculation: the job.
        """
        return self._go_on(calculation)

    def overwrite_input_structure(self) -> None:
        """Keep the structure: a job that goes on takes its positions from the restart file."""

    def results(self) -> None:
        """Attach the outputs of the last job; the frames of several are not copied into one more node here."""
        super(Cp2kBaseWorkChain, self).results()

    def _go_on(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Prepare the next job from what the last one left."""
        parameters = self.inputs.cp2k.parameters.get_dict()
        run_type = str(parameters.get('GLOBAL', {}).get('RUN_TYPE', '')).upper()
        dynamics = parameters.get('MOTION', {}).get('MD', {})
        if run_type == 'MD' and str(dynamics.get('ENSEMBLE', '')).upper() == 'REFTRAJ':
            return None
        progressed, how = False, 'it is run again from where it began'
        if 'retrieved' in calculation.outputs and run_type == 'MD':
            progressed, how = self._continue_aimd(calculation, int(dynamics['STEPS']), how)
        elif 'output_structure' in calculation.outputs:
            positions = read_text(calculation.outputs.retrieved, POSITION_FILE)
            progressed = len(read_xyz(positions).steps) > 1
            self.ctx.inputs.structure = calculation.outputs.output_structure
            how = 'going on from its last structure'
        disk_full = calculation.exit_status == DISK_FULL.status
        return self.repeat(calculation, how, progressed=progressed, disk_full=disk_full)

    def _continue_aimd(self, calculation: orm.CalcJobNode, n_steps: int, how: str) -> tuple[bool, str]:
        """Let the next job start from the restart file, and say how far the AIMD has come."""
        found = find_restart(calculation.outputs.retrieved)
        if found is None or found[1] <= self.ctx.step:
            # A wave function that was cut off while CP2K wrote it would end every job that reads it.
            if self.ctx.inputs.pop('parent_calc_folder', None) is not None:
                self._start_from(self.ctx.continued_from)
                how += ', without the wave function'
            return False, how
        self.ctx.step = found[1]
        if self.ctx.step >= n_steps:
            self.ctx.is_finished = True
            return True, 'all its steps are there'
        self.ctx.continued_from = calculation
        self.ctx.inputs.pop('parent_calc_folder', None)
        if 'remote_folder' in calculation.outputs:
            self.ctx.inputs.parent_calc_folder = calculation.outputs.remote_folder
        self._start_from(calculation)
        return True, f'going on from step {self.ctx.step} of {n_steps}'

    def _start_from(self, calculation: orm.CalcJobNode) -> None:
        """Let the next job begin with the restart file of a job, and with its wave function where its folder is given.

        :param calculation: the job.
        """
        given = {'wave_function': orm.Str(_WAVE_FUNCTION)} if 'parent_calc_folder' in self.ctx.inputs else {}
        function: Any = continue_aimd
        made = function(
            self.inputs.cp2k.parameters,
            calculation.outputs.retrieved,
            **given,
            metadata={'call_link_label': f'from_step_{self.ctx.step}' + ('' if given else '_without_wave_function')},
        )
        self.ctx.inputs.parameters = made['parameters']
        self.ctx.inputs.file = {**self.ctx.inputs.get('file', {}), 'continued_from': made['restart']}
