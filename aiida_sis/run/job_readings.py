"""Where a running job is, from the last lines of the files that its code writes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiida_sis.core.loop.record import Record
from aiida_sis.core.settings.md import MdSettings

__all__ = ('COMMAND', 'JobStatus', 'read_cp2k', 'read_lammps', 'read_training', 'sections_of')

#: One shell command for one round trip. Each section: the header, then the last lines of the file. Of the energies and
#: the thermo output at most 48 lines go over the network, spread over the latest 480.
COMMAND = r"""
thin() {
  tail -n 480 "$1" | awk '{a[NR]=$0} END {s=int((NR+47)/48); for(i=NR;i>0;i-=s) b[++k]=a[i]; while(k) print b[k--]}'
}
[ -s aiida-1.ener ] && { echo '@@ aiida-1.ener'; head -n 1 aiida-1.ener; thin aiida-1.ener; }
[ -s input.json ] && { echo '@@ input.json'; grep -a '"numb_steps"' input.json; }
[ -s lcurve.out ] && { echo '@@ lcurve.out'; head -n 1 lcurve.out; tail -n 1 lcurve.out; }
[ -s log.lammps ] && { echo '@@ log.lammps'; grep -a '^ *Step ' log.lammps | tail -n 1; thin log.lammps; }
[ -s aiida.out ] && { echo '@@ aiida.out'; grep -acE 'Informations at step|OPT\| Step number' aiida.out; }
true
"""

Sections = Mapping[str, Sequence[str]]


class JobStatus(Record):
    """One part of the run that has not ended: an AIMD, a training, an MD."""

    what: str
    """What it does, in words."""
    generation: int
    """Its generation."""
    system: str | None = None
    """The system it belongs to; ``null`` for a training."""
    pk: int | None = None
    """The calculation job; ``null`` where there is none yet."""
    state: str = 'running'
    """``starting``, ``sending files``, ``submitting``, ``queued``, ``running``, ``fetching results``, …; ``paused``
    where AiiDA waits for ``verdi process play``, though the code of the job may go on."""
    done: float | None = None
    """How much is done, in ``unit``."""
    total: float | None = None
    """How much there is to do."""
    unit: str | None = None
    """``fs`` for AIMD, ``steps`` for training, ``ps`` for MD."""
    temperature_k: float | None = None
    """The temperature now in K."""
    temperatures_k: tuple[float, ...] = ()
    """The latest temperatures in K, at most 48; ``null`` where one is no number."""
    window_k: tuple[float, float] | None = None
    """The window of an MD in K."""
    detail: str | None = None
    """What else is worth a glance, in words."""
    waits_for: str | None = None
    """What holds it up, with the remedy, in one sentence."""

    @property
    def amount(self) -> str:
        """How much is done of how much, with the unit."""
        if self.done is None:
            return ''
        return f'{_short(self.done)}{f"/{self.total:g}" if self.total else ""} {self.unit}'

    def __str__(self) -> str:
        """Return where the job is as one line of text."""
        now = '' if self.temperature_k is None else f'T = {self.temperature_k:.0f} K'
        paused = 'paused' if self.state == 'paused' else ''
        parts = ', '.join(part for part in (now, self.detail, paused) if part)
        amount = f': {self.amount}' if self.amount else ''
        return f'generation {self.generation}, {self.what}{amount}{f", {parts}" if parts else ""}'


def sections_of(text: str) -> dict[str, list[str]]:
    """Take the output of :data:`COMMAND` apart.

    :param text: the output.
    :returns: the last lines of each file that the job writes, by file name.
    """
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith('@@ '):
            lines = sections.setdefault(line[3:].strip(), [])
        elif line.strip():
            lines.append(line)
    return sections


def read_cp2k(what: str, generation: int, sections: Sections, parameters: Mapping[str, Any]) -> JobStatus:
    """Read how far an AIMD is from CP2K's energy file: time in fs and temperature in K.

    :param what: what the job does.
    :param generation: its generation.
    :param sections: last lines by file name.
    :param parameters: the job's CP2K input, for the number of steps and the timestep.
    """
    motion = parameters.get('MOTION', {})
    md = motion.get('MD', {}) if isinstance(motion, Mapping) else {}
    steps = next((int(line) for line in sections.get('aiida.out', []) if line.strip().isdigit()), 0)
    if str(md.get('ENSEMBLE')) == 'REFTRAJ':
        total = float(md['STEPS']) if 'STEPS' in md else None
        done = max(steps, len(_rows(sections.get('aiida-1.ener', []))))
        return JobStatus(what=what, generation=generation, done=done, total=total, unit='frames')
    rows = [row for row in _rows(sections.get('aiida-1.ener', [])) if len(row) >= 4]
    if not rows:
        if not md and steps:
            return JobStatus(what='geometry optimisation', generation=generation, done=steps, unit='steps')
        return JobStatus(what=what, generation=generation, detail='first SCF')
    total = None
    if 'STEPS' in md and 'TIMESTEP' in md:
        total = float(md['STEPS']) * float(str(md['TIMESTEP']).split()[-1])
    return JobStatus(
        what=what,
        generation=generation,
        done=rows[-1][1],
        total=total,
        unit='fs',
        detail=f'{int(rows[-1][0])} steps',
        **_temperatures([row[3] for row in rows]),
    )


def read_training(what: str, generation: int, sections: Sections, parameters: Mapping[str, Any]) -> JobStatus:
    """Read how far a training is from the last line of its learning curve: step and force error in eV/Å.

    :param what: what the job does.
    :param generation: its generation.
    :param sections: last lines by file name.
    :param parameters: the job's DeePMD-kit input, for the number of steps where the job's own does not say it yet.
    """
    lines = sections.get('lcurve.out', [])
    rows = _rows(lines[-1:])
    total = _planned_steps(sections.get('input.json', []))
    if total is None:
        training = parameters.get('training', {})
        total = next((float(training[key]) for key in ('numb_steps', 'stop_batch') if key in training), None)
    if not rows:
        return JobStatus(what=what, generation=generation, detail='starting')
    reading = dict(zip(lines[0].lstrip('#').split(), rows[0], strict=False))
    # Where fixed atoms are masked, DeePMD-kit calls the same error by the name of its other loss.
    keys = ('rmse_f_val', 'rmse_pf_val', 'rmse_f_trn', 'rmse_pf_trn')
    error = next((reading[key] for key in keys if key in reading), None)
    detail = '' if error is None else f'force error {error:.3f} eV/Å'
    if total is not None and rows[0][0] >= total:
        detail += ', freezing and testing'
    return JobStatus(
        what=what, generation=generation, done=rows[0][0], total=total, unit='steps', detail=detail or None
    )


def _planned_steps(lines: Sequence[str]) -> float | None:
    """The number of steps in the input that a training runs with, which a job with a budget finds itself."""
    found = re.search(r'"numb_steps": *(\d+)', lines[0]) if lines else None
    return float(found.group(1)) if found else None


def read_lammps(what: str, generation: int, sections: Sections, parameters: Mapping[str, Any]) -> JobStatus:
    """Read how far an MD is from the thermo lines of LAMMPS's log: time in ps and temperature in K.

    :param what: what the job does.
    :param generation: its generation.
    :param sections: last lines by file name.
    :param parameters: the job's parameters, for the length, the timestep and the window.
    """
    known: dict[str, Any] = {'what': what, 'generation': generation, 'window_k': parameters.get('window_k')}
    lines = list(sections.get('log.lammps', []))
    columns = lines[0].split() if lines and lines[0].split()[:1] == ['Step'] else []
    rows: list[list[float]] = []
    for line in lines[1:]:
        if line.split()[:1] == ['Step']:  # what stands above is of the minimisation
            rows.clear()
        elif (row := _row(line)) is not None and len(row) == len(columns):
            rows.append(row)
    if not columns or not rows:
        return JobStatus(**known, detail='starting')
    reading = dict(zip(columns, rows[-1], strict=True))
    if 'Time' in reading:
        time_ps = reading['Time']
    else:
        timestep_fs = float(parameters.get('timestep_fs', MdSettings.model_fields['timestep_fs'].default))
        time_ps = reading['Step'] * timestep_fs / 1000.0
    time_ps += float(parameters.get('elapsed_ps', 0.0))
    temperatures = [row[columns.index('Temp')] for row in rows] if 'Temp' in columns else []
    total = parameters.get('length_ps') or None
    return JobStatus(**known, done=time_ps, total=total, unit='ps', **_temperatures(temperatures))


def _temperatures(values: Sequence[float]) -> dict[str, Any]:
    """The latest temperatures in K, and the last of them as that of now."""
    rounded = tuple(round(value, 2) for value in values)
    return {'temperatures_k': rounded, 'temperature_k': rounded[-1] if rounded else None}


def _rows(lines: Sequence[str]) -> list[list[float]]:
    return [row for line in lines if (row := _row(line)) is not None]


def _row(line: str) -> list[float] | None:
    try:
        return [float(word) for word in line.split()]
    except ValueError:
        return None


def _short(value: float) -> str:
    """Write an amount with no more digits than a glance needs."""
    return f'{value:.0f}' if value >= 100 or value == int(value) else f'{value:.2f}'
