"""Read what a watched dynamics brought back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_deepmd.files.machine import full_disk
from aiida_sis.calculations.md import temperature_of
from aiida_sis.calculations.structure import symbols_of
from aiida_sis.calculations.trajectory_data import MD_UNITS, make_trajectory
from aiida_sis.core.distances import find_contact
from aiida_sis.core.indicator import choose_t_next, degrees_of_freedom
from aiida_sis.core.lammps import deviation
from aiida_sis.core.lammps import script as lammps_input
from aiida_sis.core.lammps.dump import DumpFrame, merge_frames, parse_dump, parse_dump_at
from aiida_sis.core.lammps.log import LammpsLog, diagnose, parse_log, symptoms
from aiida_sis.core.loop.record import Catastrophe, MdResults, NextStart
from aiida_sis.core.series import latest_at
from aiida_sis.core.settings.md import read_md_settings

# The scheduler keeps what the shell says of a process that died by a signal.
_SIGNALS = ('Segmentation fault', 'Floating point exception', 'signal 11', 'signal 8')


class LammpsMdParser(Parser):
    """Attach the series, the verdict and the frames; a catastrophe is a result and not a failure."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach what could be read, then say what went wrong, if anything but the potential did.

        :param kwargs: ``retrieved_temporary_folder``, path of the files that are not kept.
        :return: An exit code, or nothing.
        """
        text = self._text(lammps_input.LOG_FILENAME)
        stderr = self._text(self.node.get_option('scheduler_stderr')) or ''
        self.full_disk = full_disk(text or '', stderr)
        if text is None:
            if self.full_disk is not None:
                return self._failure('ERROR_DISK_FULL', time_ps=0.0, line=self.full_disk)
            return self._failure('ERROR_NO_LOG')
        self.structure: orm.StructureData = self.node.inputs.structure
        self.settings = read_md_settings(self.node.inputs.parameters.get_dict())
        self.temporary = Path(kwargs.get('retrieved_temporary_folder') or '/nonexistent')
        self.warnings: list[str] = []
        log = parse_log(text)
        self.warnings += log.warnings
        self.warnings += [
            f'{pair} was nearer than {self.settings.least_distances.get(pair, 0.0):.2f} Å at the start: not watched.'
            for pair in log.near_at_start
        ]
        if log.n_samples:
            self.out('series', self._series(log))
        catastrophe = self._catastrophe(log)
        trajectory = self._frames([lammps_input.TRAJECTORY_FILENAME, lammps_input.FINAL_FILENAME])
        if trajectory:
            self.out('trajectory', self._trajectory_data(trajectory))
        t_next = self._t_next(log, catastrophe, trajectory) if catastrophe else None
        cut_short = catastrophe is None and self._steps_run(log) < self.settings.n_steps
        if cut_short and (ring := self._ring()):
            # The continuation starts here, and a catastrophe soon after it goes back to here.
            self.out('snapshots', self._trajectory_data(ring))
        verdict = self._deviation() if log.began and 'committee' in self.node.inputs else None
        results = self._results(log, catastrophe, t_next, verdict)
        self.out('results', orm.Dict(results.model_dump()))
        if catastrophe is not None and t_next is None:
            return self._failure('ERROR_NO_SNAPSHOTS')
        failure = None if catastrophe is not None else self._exit_code(log, bool(trajectory), results.stable)
        if failure is None and verdict is None and 'committee' in self.node.inputs:
            return self._failure('ERROR_NO_DEVIATION')
        return failure

    def _exit_code(self, log: LammpsLog, has_trajectory: bool, stable: bool | None) -> ExitCode | None:
        """Say why a dynamics without a catastrophe did not reach its end.

        :param log: What the log says.
        :param has_trajectory: Whether there are frames.
        :param stable: Whether it reached its end.
        :return: An exit code, or nothing.
        """
        time_ps = self._time_reached(log)
        if self.full_disk is not None:
            return self._failure('ERROR_DISK_FULL', time_ps=time_ps, line=self.full_disk)
        if log.error and not log.began and log.error_bound is not None:
            return self._failure('ERROR_START_FAILED', error=log.error)
        if log.error:
            return self._failure('ERROR_LAMMPS', error=log.error)
        if log.truncated:
            return self._failure('ERROR_LOG_TRUNCATED', time_ps=time_ps)
        if not log.n_samples:
            return self._failure('ERROR_LOG_UNREADABLE')
        if log.timed_out:
            return self._failure('ERROR_OUT_OF_WALLTIME', time_ps=time_ps)
        if not stable:
            return self._failure('ERROR_LOG_DAMAGED', time_ps=time_ps, length_ps=self.settings.length_ps)
        return None if has_trajectory else self._failure('ERROR_NO_TRAJECTORY')

    def _failure(self, label: str, **values: Any) -> ExitCode:
        """Return an exit code with its message filled in.

        :param label: Label of the exit code.
        :param values: What its message names.
        :return: The exit code.
        """
        code: ExitCode = getattr(self.exit_codes, label)
        return code.format(**values) if values else code

    def _text(self, name: str | None) -> str | None:
        """Return the content of a retrieved file.

        :param name: Name of the file.
        :return: Content, or nothing if there is no such file.
        """
        repository = self.retrieved.base.repository
        if not name or name not in repository.list_object_names():
            return None
        return str(repository.get_object_content(name, 'rb').decode('utf-8', errors='replace'))

    def _catastrophe(self, log: LammpsLog) -> Catastrophe | None:
        """Find the catastrophe, in the log or in a process that died by its own fault in mid dynamics.

        :param log: What the log says.
        :return: The catastrophe, or nothing.
        """
        velocities = self.node.inputs.velocities.get_array('velocities') if 'velocities' in self.node.inputs else None
        grace = self.settings.grace(temperature_of(self.structure, velocities, self.settings.fixed_atoms))
        found = diagnose(log, self.settings.timestep_fs, self.settings.window_k, grace)
        if found is not None and found.bound == 'distance':
            return self._with_contact(found, log.near_at_start)
        if found is not None or not log.truncated or log.n_samples < 2:
            return found
        stderr = self._text(self.node.get_option('scheduler_stderr')) or ''
        signal = next((name for name in _SIGNALS if name in stderr), None)
        if signal is None:
            return None
        self.warnings.append(f'LAMMPS died in mid dynamics ({signal}); this is taken for a failure of the potential.')
        series = log.watched(self.settings.timestep_fs)
        return Catastrophe(float(series.time_ps[-1]), float(series.temperature[-1]), 'crash')

    def _with_contact(self, catastrophe: Catastrophe, unwatched: tuple[str, ...]) -> Catastrophe:
        """Say which two atoms came too near; the last frame is that of the step on which the watch stopped.

        :param catastrophe: What was found in the log.
        :param unwatched: Pairs that were too near when the dynamics began.
        :return: The same with the pair and its distance, where the last frame could be read.
        """
        frames = self._frames([lammps_input.FINAL_FILENAME])
        limits = {pair: limit for pair, limit in self.settings.least_distances.items() if pair not in unwatched}
        if not frames or not limits:
            return catastrophe
        cell = lammps_input.LammpsCell.from_cell(np.array(self.structure.cell, dtype=np.float64)).cell
        symbols, fixed = symbols_of(self.structure), self.settings.fixed_atoms
        contact = find_contact(frames[-1].positions, cell, symbols, limits, fixed)
        if contact is None:
            return catastrophe
        return replace(catastrophe, pair=contact.pair, distance_angstrom=contact.distance)

    def _frames(self, names: list[str]) -> list[DumpFrame]:
        """Read the whole and finite frames of some files.

        :param names: Paths in the temporary folder; missing ones are skipped.
        :return: Frames, one per step, ascending.
        """
        frames, unread = [], 0
        for name in names:
            path = self.temporary / name
            if path.is_file():
                text = path.read_text(encoding='utf-8', errors='replace')
                read = parse_dump(text)
                unread += text.count('ITEM: TIMESTEP') - len(read)
                frames += read
        whole = merge_frames(frames, len(self.structure.sites))
        dropped = len({frame.step for frame in frames}) - len(whole) + unread
        if dropped:
            self.warnings.append(
                f'{dropped} frames were left out: incomplete, without each atom once, or with values that are no '
                'numbers.'
            )
        return whole

    def _ring(self) -> list[DumpFrame]:
        """Read the latest snapshots.

        :return: Frames, one per step, ascending.
        """
        folder = self.temporary / lammps_input.RING_FOLDER
        return self._frames([f'{lammps_input.RING_FOLDER}/{path.name}' for path in sorted(folder.glob('*'))])

    def _t_next(self, log: LammpsLog, catastrophe: Catastrophe, trajectory: list[DumpFrame]) -> NextStart | None:
        """Choose where to go back to, and attach the snapshots.

        :param log: What the log says.
        :param catastrophe: What was found in it.
        :param trajectory: Frames of the trajectory, for a ring that does not reach back far enough.
        :return: What was chosen, or nothing if there is no snapshot.
        """
        ring = self._ring()
        n_dof = degrees_of_freedom(len(self.structure.sites), len(self.settings.fixed_atoms))
        series = log.watched(self.settings.timestep_fs)
        wanted = choose_t_next(series, catastrophe, self.settings.temperature_k, n_dof, self.settings.t_next)
        target = wanted * 1e3 / self.settings.timestep_fs
        if latest_at([frame.step for frame in ring], target) is None:
            earlier = latest_at([frame.step for frame in trajectory], target)
            if earlier is not None:
                ring = merge_frames([trajectory[earlier], *ring], len(self.structure.sites))
        last_step = catastrophe.time_ps * 1e3 / self.settings.timestep_fs
        if not ring or ring[0].step > last_step + 0.5:
            return None
        self.out('snapshots', self._trajectory_data(ring))
        index = latest_at([frame.step for frame in ring], target) or 0
        return NextStart(
            time_ps=ring[index].step * self.settings.timestep_fs * 1e-3,
            requested_time_ps=wanted,
            snapshot_index=index,
            rule=self.settings.t_next.rule,
        )

    def _deviation(self) -> deviation.DeviationVerdict | None:
        """Attach the deviation of the committee and the candidates among the frames.

        :return: The verdict, or nothing if there is no deviation to read.
        """
        path = self.temporary / deviation.DEVIATION_FILENAME
        if self.settings.deviation is None or not path.is_file():
            return None
        text = path.read_text(encoding='utf-8', errors='replace')
        series = deviation.parse_deviation(text, self.settings.first_step)
        if not series.steps.size:
            return None
        arrays = {
            'step': series.steps,
            'time_ps': series.steps * (self.settings.timestep_fs * 1e-3),
            'max_force_deviation': series.largest,
            'mean_force_deviation': series.mean,
        }
        self.out('deviation', orm.ArrayData(arrays))
        verdict = deviation.judge_deviation(series.steps, series.largest, self.settings.deviation)
        frames = self._candidates(verdict.chosen)
        if frames:
            self.out('candidates', self._trajectory_data(frames))
        return verdict

    def _candidates(self, steps: list[int]) -> list[DumpFrame]:
        """Read the chosen frames.

        :param steps: Their steps.
        :return: Frames, ascending.
        """
        path = self.temporary / deviation.CANDIDATES_FILENAME
        if not steps or not path.is_file():
            return []
        with path.open(encoding='utf-8', errors='replace') as lines:
            frames = merge_frames(parse_dump_at(lines, steps), len(self.structure.sites))
        if len(frames) < len(steps):
            self.warnings.append(f'{len(steps) - len(frames)} candidates were left out: their frames cannot be read.')
        return frames

    def _series(self, log: LammpsLog) -> orm.ArrayData:
        """Build the node of the series.

        :param log: What the log says.
        :return: The node.
        """
        node = orm.ArrayData()
        for name, values in log.series.items():
            node.set_array(name, values.astype(np.int64) if name == 'step' else values)
        node.set_array('time_ps', log.watched(self.settings.timestep_fs).time_ps)
        return node

    def _trajectory_data(self, frames: list[DumpFrame]) -> orm.TrajectoryData:
        """Build the node of some frames, turned back into the frame of the structure.

        :param frames: Frames, ascending.
        :return: The node.
        """
        cell = np.array(self.structure.cell, dtype=np.float64)
        rotated = lammps_input.LammpsCell.from_cell(cell)
        arrays = {
            name: np.array([rotated.from_lammps(getattr(frame, name)) for frame in frames])
            for name in ('positions', 'velocities', 'forces')
        }
        arrays['steps'] = np.array([frame.step for frame in frames], dtype=np.int64)
        arrays['times'] = arrays['steps'] * (self.settings.timestep_fs * 1e-3)
        # The volume is constant: the cell of the input keeps every bit.
        arrays['cells'] = np.repeat(cell[None], len(frames), axis=0)
        return make_trajectory(symbols_of(self.structure), arrays, MD_UNITS)

    def _time_reached(self, log: LammpsLog) -> float:
        """Return the time of the last sample.

        :param log: What the log says.
        :return: Time in ps.
        """
        return float(log.series['step'][-1]) * self.settings.timestep_fs * 1e-3 if log.n_samples else 0.0

    def _steps_run(self, log: LammpsLog) -> int:
        """Return the number of steps of the whole dynamics that are known to be run.

        :param log: What the log says.
        :return: Number of steps.
        """
        return max(log.n_steps_run, int(log.series['step'][-1]) if log.n_samples else 0)

    def _results(
        self,
        log: LammpsLog,
        catastrophe: Catastrophe | None,
        t_next: NextStart | None,
        verdict: deviation.DeviationVerdict | None,
    ) -> MdResults:
        """Collect the facts of the dynamics.

        :param log: What the log says.
        :param catastrophe: What was found in it.
        :param t_next: Where to go back to.
        :param verdict: What a committee made of its frames.
        :return: The results.
        """
        dt_ps = self.settings.timestep_fs * 1e-3
        reached = self._time_reached(log) if catastrophe is None else catastrophe.time_ps
        minimised = self.settings.minimise.enabled and 'velocities' not in self.node.inputs
        n_run = self._steps_run(log)
        return MdResults(
            stable=catastrophe is None and log.complete and n_run >= self.settings.n_steps,
            length_ps_requested=self.settings.length_ps,
            length_ps_reached=reached,
            catastrophe=catastrophe,
            t_next=t_next,
            steps_past_t_cp=None if catastrophe is None else n_run - round(catastrophe.time_ps / dt_ps),
            n_steps_run=n_run,
            steps_per_second=(n_run - self.settings.first_step) / log.loop_seconds if log.loop_seconds else None,
            wall_seconds=log.wall_seconds,
            lammps_version=log.version,
            symptoms=symptoms(log, self.settings.timestep_fs, minimised),
            lammps_error=log.error or None,
            warnings=tuple(self.warnings),
            deviation=None if verdict is None else verdict.as_dict(),
        )
