"""Read what CP2K brought back, whatever a machine did to it: no frame that was computed is lost to a damaged file."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import common, orm
from aiida.engine import ExitCode
from aiida_cp2k import utils
from aiida_cp2k.calculations import Cp2kCalculation
from aiida_cp2k.parsers import Cp2kBaseParser

from aiida_deepmd.files.machine import full_disk, own_fault
from aiida_sis.calculations.label import frames_of
from aiida_sis.calculations.retrieved import read_text
from aiida_sis.calculations.trajectory_data import CP2K_UNITS, make_trajectory
from aiida_sis.core.cp2k import output
from aiida_sis.core.cp2k.abort import abort_reason, machine_fault
from aiida_sis.core.cp2k.restart import is_whole

_CODES: Any = Cp2kCalculation.exit_codes
#: Beside the exit codes of aiida-cp2k.
DISK_FULL = ExitCode(
    311, 'The disk of the work directory is full, which says nothing of the structure: {line}', invalidates_cache=True
)
DIED = ExitCode(305, 'CP2K died by a fault of its own: {fault}.')


class Cp2kLabelParser(Cp2kBaseParser):
    """Tell what the machine did to CP2K from what CP2K did itself, and read every frame that is whole.

    aiida-cp2k reads a run that went well; a file with a hole in it, or half a restart file, would be the end of the job
    and of its frames. What a machine spoilt is never taken from AiiDA's cache.
    """

    def _read_stdout(self) -> tuple[None, str]:
        """Read the main output, empty where there is none: then CP2K was ended before it began."""
        return None, read_text(self.retrieved, self.node.base.attributes.get('output_filename'))

    def _parse_stdout(self) -> ExitCode | None:
        """Attach the energy, and say how CP2K ended."""
        _, text = self._read_stdout()
        exit_code = self._check_stdout_for_errors(text)
        if exit_code not in self.SEVERE_ERRORS:
            try:
                values = utils.parse_cp2k_output(text)
                values.pop('energy_units', None)
            except (ValueError, IndexError):  # a damaged line
                values = {}
            finite = {name: value for name, value in values.items() if np.isfinite(value)}
            self.out('output_parameters', orm.Dict(finite | {'energy_units': 'a.u.'} if 'energy' in finite else finite))
        return exit_code

    def _check_stdout_for_errors(self, output_string: str) -> ExitCode | None:
        """Find out how CP2K ended: well, by itself, by its time, or by the machine."""
        stderr = read_text(self.retrieved, self.node.get_option('scheduler_stderr') or '')
        exit_code: ExitCode | None = super()._check_stdout_for_errors(output_string)
        line, fault = full_disk(output_string, stderr), own_fault(output_string, stderr)
        if line is not None:
            exit_code = DISK_FULL.format(line=line)
        elif exit_code == _CODES.ERROR_OUTPUT_INCOMPLETE and fault is not None:
            exit_code = DIED.format(fault=fault)
        elif exit_code == _CODES.ERROR_OUTPUT_INCOMPLETE:
            reason = machine_fault(output_string, stderr) or abort_reason(output_string)
            exit_code = ExitCode(_CODES.ERROR_OUTPUT_INCOMPLETE.status, reason, invalidates_cache=True)
        elif exit_code != _CODES.ERROR_OUT_OF_WALLTIME:
            return exit_code
        # The exit codes of aiida-cp2k do not say it themselves.
        self.node.base.caching.is_valid_cache = False
        return exit_code

    def _parse_final_structure(self) -> orm.StructureData:
        """Read the structure of the restart file, if that is whole."""
        if is_whole(read_text(self.retrieved, output.RESTART_FILE)):
            try:
                structure: orm.StructureData = super()._parse_final_structure()
                return structure
            except ValueError as error:  # a number that is none
                self.logger.warning(f'{output.RESTART_FILE} holds no structure: {error}')
        raise common.NotExistent(f'no whole {output.RESTART_FILE}')

    def _parse_trajectory(self, structure: orm.StructureData) -> orm.TrajectoryData | None:
        """Read the frames of a dynamics on which all files agree."""
        frames = frames_of(self.retrieved)
        if not len(frames.steps):
            return None
        arrays = {name: getattr(frames, name) for name in ('positions', 'cells', 'energies', 'forces', 'steps')}
        return make_trajectory(frames.symbols, arrays, CP2K_UNITS)
