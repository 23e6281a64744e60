"""What the running jobs are doing now, read from the files they write.

The graph knows nothing of a job before it has been parsed. A newcomer who waits wants to see the AIMD advance, the
error fall and the temperature stay, so the last lines of the jobs' files are read where they run. The transport of the
computer does the reading: it is the same for a laptop and a cluster behind ssh.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiida import orm
from aiida.transports import Transport

from aiida_sis.core.md_settings import MdSettings
from aiida_sis.report.collect import called, input_of

__all__ = ('JobReading', 'LiveReader', 'read_cp2k', 'read_lammps', 'read_training')

LOGGER = logging.getLogger(__name__)

_CALL_LABEL = re.compile(r'^(label|train|explore)_g(\d+)(?:_s(\d+)_r(\d+)|_m?(\d+))?$')

# One shell command for one round trip. Each section: the header, then the last lines of the file.
_COMMAND = r"""
for f in aiida-1.ener lcurve.out; do [ -s "$f" ] && { echo "@@ $f"; head -n 1 "$f"; tail -n 1 "$f"; }; done
[ -s log.lammps ] && { echo '@@ log.lammps'; grep -a '^ *Step ' log.lammps | tail -n 1; tail -n 3 log.lammps; }
[ -s aiida.out ] && { echo '@@ aiida.out'; grep -acE 'Informations at step|OPT\| Step number' aiida.out; }
true
"""


@dataclass(frozen=True)
class JobReading:
    """Where one running job is.

    :param what: what the job does, in words.
    :param generation: the generation it belongs to.
    :param done: how much of ``total`` is done, in ``unit``.
    :param total: how much there is to do in all, ``None`` if unknown.
    :param unit: fs for AIMD, steps for training, ps for MD.
    :param detail: what else is worth a glance, such as the temperature now.
    """

    what: str
    generation: int
    done: float = 0.0
    total: float | None = None
    unit: str = ''
    detail: str = ''

    def __str__(self) -> str:
        """Return the reading as one line of text."""
        amount = ''
        if self.unit:
            total = f'/{self.total:g}' if self.total else ''
            amount = f': {_short(self.done)}{total} {self.unit}'
        return f'generation {self.generation}, {self.what}{amount}{", " + self.detail if self.detail else ""}'


class LiveReader:
    """Read the running jobs of a run, keeping the transports open between two readings.

    :param node: the node of the SIS workchain.
    """

    def __init__(self, node: orm.ProcessNode) -> None:
        self._node = node
        self._transports: dict[str, Transport] = {}

    def __enter__(self) -> LiveReader:
        """Return the reader; transports open when they are first needed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the transports."""
        for transport in self._transports.values():
            transport.close()
        self._transports.clear()

    def read(self) -> list[JobReading]:
        """Return one reading for each child of the run that has not ended."""
        readings = []
        for child, link_label in called(self._node):
            match = _CALL_LABEL.match(link_label)
            if match is None or child.is_terminated:
                continue
            readings.append(self._read_child(child, match))
        return readings

    def _read_child(self, child: orm.ProcessNode, match: re.Match[str]) -> JobReading:
        kind, generation = match.group(1), int(match.group(2))
        replica = f', replica {match.group(4)}' if match.group(4) else ''
        what = {'label': 'AIMD', 'train': 'training', 'explore': 'MD'}[kind] + replica
        job = running_job(child)
        if job is None:
            return JobReading(what, generation, detail='starting')
        sections = self._sections(job)
        if not sections:
            return JobReading(what, generation, detail=_phase(job))
        parameters = input_of(job, 'parameters')
        settings: Mapping[str, Any] = parameters.get_dict() if isinstance(parameters, orm.Dict) else {}
        if kind == 'label':
            return read_cp2k(what, generation, sections, settings)
        if kind == 'train':
            return read_training(what, generation, sections, settings)
        return read_lammps(what, generation, sections, settings)

    def _sections(self, job: orm.CalcJobNode) -> dict[str, list[str]]:
        """Return the last lines of each file that the job writes, by file name."""
        workdir = job.get_remote_workdir()
        if not workdir:
            return {}
        try:
            transport = self._transport(job)
            _, text, _ = transport.exec_command_wait(_COMMAND, workdir=workdir)
        except OSError as error:  # the folder may go while we look: the next reading will tell
            LOGGER.debug('job %s cannot be read now: %s', job.pk, error)
            return {}
        sections: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in text.splitlines():
            if line.startswith('@@ '):
                lines = sections.setdefault(line[3:].strip(), [])
            elif line.strip():
                lines.append(line)
        return sections

    def _transport(self, job: orm.CalcJobNode) -> Transport:
        uuid = str(job.computer.uuid) if job.computer else ''
        if uuid not in self._transports:
            transport: Transport = job.get_authinfo().get_transport()
            transport.open()
            self._transports[uuid] = transport
        return self._transports[uuid]


def running_job(node: orm.ProcessNode) -> orm.CalcJobNode | None:
    """Return the calculation job that runs now at or below ``node``, the newest if there are several.

    :param node: a process node.
    """
    if isinstance(node, orm.CalcJobNode):
        return None if node.is_terminated else node
    for child, _ in reversed(called(node)):
        if not child.is_terminated and (job := running_job(child)) is not None:
            return job
    return None


def read_cp2k(
    what: str, generation: int, sections: Mapping[str, list[str]], parameters: Mapping[str, Any]
) -> JobReading:
    """Read how far an AIMD is from the last line of CP2K's energy file: time in fs and temperature in K.

    :param what: what the job does.
    :param generation: its generation.
    :param sections: last lines by file name.
    :param parameters: the job's CP2K input, for the number of steps and the timestep.
    """
    motion = parameters.get('MOTION', {})
    md = motion.get('MD', {}) if isinstance(motion, Mapping) else {}
    values = _numbers(sections.get('aiida-1.ener', []))
    if values is None or len(values) < 4:
        steps = next((line for line in sections.get('aiida.out', []) if line.strip().isdigit()), '0')
        if not md and int(steps):
            return JobReading('geometry optimisation', generation, float(steps), None, 'steps')
        return JobReading(what, generation, detail='first SCF')
    total = None
    if 'STEPS' in md and 'TIMESTEP' in md:
        total = float(md['STEPS']) * float(str(md['TIMESTEP']).split()[-1])
    return JobReading(what, generation, values[1], total, 'fs', f'{int(values[0])} steps, T = {values[3]:.0f} K')


def read_training(
    what: str, generation: int, sections: Mapping[str, list[str]], parameters: Mapping[str, Any]
) -> JobReading:
    """Read how far a training is from the last line of its learning curve: step and force error in eV/Å.

    :param what: what the job does.
    :param generation: its generation.
    :param sections: last lines by file name.
    :param parameters: the job's DeePMD-kit input, for the number of steps.
    """
    lines = sections.get('lcurve.out', [])
    values = _numbers(lines)
    training = parameters.get('training', {})
    steps = next((training[key] for key in ('numb_steps', 'stop_batch') if key in training), None)
    total = float(steps) if steps is not None else None
    if values is None or not lines:
        return JobReading(what, generation, detail='starting')
    columns = lines[0].lstrip('#').split()
    reading = dict(zip(columns, values, strict=False))
    # Where fixed atoms are masked, DeePMD-kit calls the same error by the name of its other loss.
    keys = ('rmse_f_val', 'rmse_pf_val', 'rmse_f_trn', 'rmse_pf_trn')
    error = next((reading[key] for key in keys if key in reading), None)
    detail = '' if error is None else f'force error {error:.3f} eV/Å'
    if total is not None and values[0] >= total:
        detail += ', freezing and testing'
    return JobReading(what, generation, values[0], total, 'steps', detail)


def read_lammps(
    what: str, generation: int, sections: Mapping[str, list[str]], parameters: Mapping[str, Any]
) -> JobReading:
    """Read how far an MD is from the last thermo line of LAMMPS's log: time in ps and temperature in K.

    :param what: what the job does.
    :param generation: its generation.
    :param sections: last lines by file name.
    :param parameters: the job's parameters, for the length and the timestep.
    """
    lines = sections.get('log.lammps', [])
    columns = lines[0].split() if lines and lines[0].split()[:1] == ['Step'] else []
    rows = [row for line in lines[1:] if (row := _row(line)) is not None and len(row) == len(columns)]
    if not columns or not rows:
        return JobReading(what, generation, detail='starting')
    reading = dict(zip(columns, rows[-1], strict=True))
    if 'Time' in reading:
        time_ps = reading['Time']
    else:
        time_ps = reading['Step'] * float(parameters.get('timestep_fs', MdSettings.timestep_fs)) / 1000.0
    total = parameters.get('length_ps')
    detail = f'T = {reading["Temp"]:.0f} K' if 'Temp' in reading else ''
    return JobReading(what, generation, time_ps, float(total) if total else None, 'ps', detail)


def _row(line: str) -> list[float] | None:
    try:
        return [float(word) for word in line.split()]
    except ValueError:
        return None


def _numbers(lines: list[str]) -> list[float] | None:
    return _row(lines[-1]) if lines else None


def _short(value: float) -> str:
    return f'{value:.0f}' if value >= 100 or value == int(value) else f'{value:.2f}'


def _phase(job: orm.CalcJobNode) -> str:
    """Return where a job is that has written nothing yet."""
    state = job.get_state()
    return {
        None: 'starting',
        'uploading': 'sending files',
        'submitting': 'submitting',
        'withscheduler': 'starting',
        'stashing': 'stashing files',
        'retrieving': 'fetching results',
        'parsing': 'reading results',
    }.get(state.value if state is not None else None, 'starting')
