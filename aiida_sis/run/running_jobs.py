"""What the running jobs of a run do now, and what they wait for.

The graph knows nothing of a job before it has been parsed. A newcomer who waits wants to see the AIMD advance, the
error fall and the temperature stay, so the last lines of the jobs' files are read where they run. The transport of the
computer does the reading: it is the same for a laptop and a cluster behind ssh.
"""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Any

from aiida import orm
from aiida.schedulers.datastructures import JobState
from aiida.transports import Transport

from aiida_sis.command_lines import verdi
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, TRAIN, VERIFY, Call, read_call
from aiida_sis.core.settings.sis import plan_replicas, read_settings
from aiida_sis.run.job_readings import COMMAND, JobStatus, read_cp2k, read_lammps, read_training, sections_of
from aiida_sis.run.loops import settings_of, systems_of
from aiida_sis.run.record import called, dictionary, input_of, label_kind

__all__ = ('LiveReader', 'running_job')

LOGGER = logging.getLogger(__name__)

_READERS = {LABEL: read_cp2k, VERIFY: read_cp2k, TRAIN: read_training, EXPLORE: read_lammps}

#: What AiiDA does with a job that has no file to read, by its state.
_PHASES = {
    'uploading': 'sending files',
    'submitting': 'submitting',
    'withscheduler': 'starting',
    'stashing': 'stashing files',
    'retrieving': 'fetching results',
    'parsing': 'reading results',
}


class LiveReader:
    """Read the running jobs of a run, keeping the transports open between two readings.

    A job on another computer is looked at no more often than AiiDA itself may ask that computer's scheduler.

    :param node: the node of the SIS workchain.
    """

    def __init__(self, node: orm.ProcessNode) -> None:
        self._node = node
        self._transports: dict[str, Transport] = {}
        self._texts: dict[int, tuple[float, str]] = {}
        self._systems = _systems_of_replicas(node)

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

    def read(self) -> list[JobStatus]:
        """Return one reading for each child of the run that has not ended."""
        readings = []
        for child, link_label in called(self._node):
            call = read_call(link_label)
            if call is not None and call.kind in _READERS and not child.is_terminated:
                readings.append(self._read_child(child, call))
        return readings

    def _read_child(self, child: orm.ProcessNode, call: Call) -> JobStatus:
        generation = call.generation
        job = running_job(child)
        paused = _paused(child, job)
        if call.kind == LABEL:
            what, system = f'{label_kind(child)} {call.number}', _label_of(child)
        elif call.kind == VERIFY:
            what, system = f'frames of the stable MD, replica {call.number}', _label_of(child)
        elif call.kind == TRAIN:
            what, system = f'training, member {call.number}' if call.number else 'training', ''
        else:
            what, system = f'MD, replica {call.number}', self._systems.get(call.number, '')
        known: dict[str, Any] = {'system': system or None, 'pk': None if job is None else job.pk}
        empty = JobStatus(what=what, generation=generation, detail='starting', state='starting', **known)
        if job is None:
            return empty.model_copy(update={'waits_for': paused, 'state': 'paused'} if paused else {})
        queue = _queue(job)
        text, trouble = ('', '') if queue else self._text(job)
        known['waits_for'] = paused or queue or trouble or None
        if paused or self._node.paused:  # the code itself knows nothing of that, and is shown as it goes
            known['state'] = 'paused'
        if not (sections := sections_of(text)):
            phase = 'queued' if queue else _phase(job)
            return empty.model_copy(update={'detail': phase, 'state': phase} | known)
        settings = dictionary(input_of(job, 'parameters'))
        return _READERS[call.kind](what, generation, sections, settings).model_copy(update=known)

    def _text(self, job: orm.CalcJobNode) -> tuple[str, str]:
        """Return what the job's files say now, or said a moment ago where the computer wants to be left alone.

        :param job: the job.
        :returns: the text, and one sentence if it could not be had.
        """
        workdir, pk = job.get_remote_workdir(), int(job.pk or 0)
        if not workdir or job.computer is None:
            return '', ''
        now = time.monotonic()
        looked, text = self._texts.get(pk, (float('-inf'), ''))
        if now - looked < job.computer.get_minimum_job_poll_interval():
            return text, ''
        try:
            _, text, _ = self._transport(job).exec_command_wait(COMMAND, workdir=workdir)
        except FileNotFoundError as error:  # the folder may go while we look: the next reading will tell
            LOGGER.debug('job %s cannot be read now: %s', pk, error)
            return '', ''
        except Exception as error:  # noqa: BLE001  # each transport raises what its library raises; it is shown
            self._transports.pop(str(job.computer.uuid), None)
            return '', f'the files of job {pk} on {job.computer.label} cannot be read now ({error}); trying again'
        self._texts[pk] = (now, text)
        return text, ''

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


def _paused(*nodes: orm.ProcessNode | None) -> str:
    """Say which process is paused and what lets it go on."""
    for node in nodes:
        if node is not None and node.paused:
            status = f' ({node.process_status})' if node.process_status else ''
            return (
                f'process {node.pk} is paused{status}; see `{verdi(f"process report {node.pk}")}`, '
                f'then `{verdi(f"process play {node.pk}")}`'
            )
    return ''


def _queue(job: orm.CalcJobNode) -> str:
    """Say that a job waits in a scheduler's queue."""
    if job.get_scheduler_state() not in (JobState.QUEUED, JobState.QUEUED_HELD):
        return ''
    computer = job.computer.label if job.computer else 'its computer'
    held = ', held there' if job.get_scheduler_state() is JobState.QUEUED_HELD else ''
    return f'job {job.pk} is in the queue of {computer}{held} (number {job.get_job_id()})'


def _phase(job: orm.CalcJobNode) -> str:
    """Return where a job is that has written nothing yet."""
    state = job.get_state()
    return _PHASES.get(state.value if state is not None else '', 'starting')


def _label_of(child: orm.ProcessNode) -> str:
    """Return the name of the system that a label belongs to."""
    return str(dictionary(input_of(child, 'parameters')).get('label', ''))


def _systems_of_replicas(node: orm.ProcessNode) -> dict[int, str]:
    """Return the system that each replica explores; nothing where another version's settings cannot be read."""
    try:
        replicas = plan_replicas(read_settings(settings_of(node)), list(systems_of(node)))
    except ValueError:
        return {}
    return {number: replica.system for number, replica in enumerate(replicas)}
