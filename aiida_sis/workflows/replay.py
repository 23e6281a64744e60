"""Label frames that exist already, by single points: the frames of an MD on its way to a catastrophe, for example."""

from __future__ import annotations

from typing import Any

from aiida import engine, orm
from aiida.engine import ExitCode
from aiida_cp2k.calculations import Cp2kCalculation

from aiida_deepmd.frames.plausibility import pressed_atoms
from aiida_deepmd.workflows.repeating import MACHINE_FAULTS
from aiida_sis.calculations.replay import make_replay_input, prepare_replay, summarise_replay
from aiida_sis.core.cp2k.input import knows_eval
from aiida_sis.parsers.cp2k import DISK_FULL
from aiida_sis.workflows.cp2k_base import LabellingWorkChain, call, version_of

#: After so many jobs the frames that are left stay without a label.
MAX_JOBS = 8
#: So many jobs in a row that label nothing end a replay: what spoils the frames won't get better.
MAX_JOBS_WITHOUT_FRAME = 3
#: CP2K stopped without finding fault with a frame: it goes on where it was.
INTERRUPTED = tuple(
    code.status
    for code in (
        Cp2kCalculation.exit_codes.ERROR_OUT_OF_WALLTIME,
        Cp2kCalculation.exit_codes.ERROR_OUTPUT_INCOMPLETE,
        DISK_FULL,
        *MACHINE_FAULTS,
    )
)

while_: Any = engine.while_  # its type only takes the methods of `WorkChain` itself as steps


class ReplayWorkChain(LabellingWorkChain):
    """Label frames by single points (CP2K's REFTRAJ), in one job where none of them fails.

    Every SCF starts afresh. CP2K aborts at a frame that it can't treat: the next job tries it once more, with shorter
    first steps for it and all that follow. The frame that it aborts at then is left out, and the next job goes on with
    the one after it. Frames whose SCF did not converge are left out too. All are counted. Velocities of the frames are
    of no account, and the forces on fixed atoms are true forces here.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports and the outline."""
        super().define(spec)
        spec.input(
            'frames',
            valid_type=orm.TrajectoryData,
            help='The frames to label: `positions` Å (n_frames, n_atoms, 3), `cells` Å (n_frames, 3, 3).',
        )
        spec.outline(
            cls.validate,
            cls.prepare,
            while_(cls.has_frames_left)(
                cls.run_single_points,
                cls.inspect_single_points,
            ),
            cls.make_dataset,
            cls.results,
        )

    # ------------------------------------------------------------------------------------------------------- validate

    def validate(self) -> ExitCode | None:
        """Refuse what CP2K or the training would refuse later, before anything is submitted."""
        frames = self.inputs.frames
        if frames.get_cells() is None:
            return self.exit_with('ERROR_START', 'frames has no cells: set them, CP2K computes periodic systems.')
        return self.check_inputs(list(frames.symbols))

    def prepare(self) -> None:
        """Number the frames as aiida-cp2k needs them, and begin with the first."""
        made = call(prepare_replay, 'prepared', self.inputs.frames)
        self.ctx.structure = made['structure']
        self.ctx.frames = made.get('trajectory', self.inputs.frames)
        self.ctx.next_frame = 0
        self.ctx.runs = []
        self.ctx.series, self.ctx.trajectories = {}, {}
        self.ctx.without_frame = 0
        self.ctx.interrupted = 0
        self.ctx.ended_by_machine = False
        self.ctx.careful = False
        self.ctx.eval_keyword = knows_eval(version_of(self.inputs.cp2k.cp2k.code))
        self.ctx.other_keyword_tried = False
        self.ctx.failed = {}
        self.ctx.reason = ''

    # -------------------------------------------------------------------------------------------------- single points

    def has_frames_left(self) -> bool:
        """Whether there are frames to compute, and a reason to think that they can be."""
        return bool(
            self.ctx.next_frame < self.ctx.frames.numsteps
            and len(self.ctx.runs) - self.ctx.interrupted < MAX_JOBS
            and self.ctx.without_frame < MAX_JOBS_WITHOUT_FRAME
        )

    def run_single_points(self) -> None:
        """Compute the frames from the next one on."""
        name = f'replay_{len(self.ctx.runs) + 1}'
        parameters = call(
            make_replay_input,
            f'{name}_input',
            self.inputs.cp2k.cp2k.parameters,
            self.ctx.frames,
            orm.Int(self.ctx.next_frame),
            orm.Dict({'careful': self.ctx.careful, 'eval_keyword': self.ctx.eval_keyword}),
            **self.time_limit(),
        )
        self.submit_cp2k(name, parameters, self.ctx.structure, self.ctx.frames)
        self.ctx.runs.append(name)

    def inspect_single_points(self) -> None:
        """Find the frame that CP2K stopped at, and whether that frame is to blame."""
        name = self.ctx.runs[-1]
        node = self.ctx[f'{name}_node']
        series = self.read(name, frames=self.ctx.frames)
        numbers = [] if series is None else series.get_array('frame_steps').tolist()
        self.ctx.ended_by_machine = False
        if node.is_finished_ok:
            self.ctx.next_frame = self.ctx.frames.numsteps
            if not numbers:
                self.ctx.reason = f'{name} ended well, but aiida.out has no energy of its frames.'
            return
        jobs = self.jobs_of(node)
        self.ctx.reason = self.stop_reason(node, jobs[-1] if jobs else None)
        stopped_at = numbers[-1] + 1 if numbers else self.ctx.next_frame
        self.report(f'{name}<{node.pk}> stopped at frame {stopped_at}: {self.ctx.reason}')
        if 'unknown keyword EVAL' in self.ctx.reason and not self.ctx.other_keyword_tried:
            self.ctx.eval_keyword, self.ctx.other_keyword_tried = not self.ctx.eval_keyword, True
            return
        interrupted = bool(jobs) and jobs[-1].exit_status in INTERRUPTED
        if jobs and not interrupted and not self.ctx.careful:
            self.ctx.careful, self.ctx.reason, self.ctx.next_frame = True, '', stopped_at
            return
        self.ctx.without_frame = 0 if numbers else self.ctx.without_frame + 1
        self.ctx.ended_by_machine = interrupted
        if interrupted:
            # The machine may do it as often as it likes, if a frame is labelled in between.
            self.ctx.interrupted += 1
            self.ctx.next_frame = stopped_at
            return
        if stopped_at < self.ctx.frames.numsteps:
            frames = self.ctx.frames
            geometry = pressed_atoms(
                frames.get_positions()[stopped_at], frames.get_cells()[stopped_at], list(frames.symbols)
            )
            self.ctx.reason = ' '.join(filter(None, [self.ctx.reason, geometry]))
            self.ctx.failed[str(stopped_at)] = self.ctx.reason
        self.ctx.next_frame = self.ctx.frames.numsteps if self.settings.stop_at_failed_frame else stopped_at + 1

    # -------------------------------------------------------------------------------------------------------- dataset

    def make_dataset(self) -> None:
        """Turn the labelled frames into a dataset."""
        self.ctx.report = None
        self.ctx.facts = {
            'reason': self.ctx.reason,
            'timestep_fs': self.settings.timestep_fs,
            'n_offered': self.ctx.frames.numsteps,
            'failed_frames': self.ctx.failed,
            'unconverged_frames': [],
            'frames_not_computed': list(range(self.ctx.frames.numsteps)),
        }
        if not self.ctx.series:
            return
        found: dict[int, tuple[str, int, bool]] = {}
        for name, series in self.ctx.series.items():
            numbers, converged = (series.get_array(one).tolist() for one in ('frame_steps', 'converged'))
            found |= {number: (name, row, converged[row]) for row, number in enumerate(numbers)}
        missing = [number for number in range(self.ctx.frames.numsteps) if number not in found]
        self.ctx.facts['unconverged_frames'] = [number for number, (_, _, good) in sorted(found.items()) if not good]
        self.ctx.facts['frames_not_computed'] = [number for number in missing if str(number) not in self.ctx.failed]
        rows = {name: [row for run, row, good in found.values() if good and run == name] for name in self.ctx.series}
        trajectory = self.gather(rows)
        if trajectory is not None:
            self.ctx.report = self.attach_dataset(trajectory, forces_of_all=True)

    def results(self) -> ExitCode | None:
        """Attach what the replay cost and gave, and end with the exit code that says which."""
        report = {} if self.ctx.report is None else {'report': self.ctx.report}
        results = call(summarise_replay, 'summary', orm.Dict(self.ctx.facts), **report, **self.ctx.series)
        self.out('results', results)
        if not self.ctx.series:
            name = 'ERROR_CUT_SHORT' if self.ctx.ended_by_machine else 'ERROR_NO_OUTPUT'
            return self.exit_with(name, self.ctx.reason)
        if 'dataset' not in self.outputs:
            if self.ctx.ended_by_machine:
                return self.exit_with('ERROR_CUT_SHORT', f'The machine ended job after job: {self.ctx.reason}')
            problem = self.ctx.reason or 'every frame was refused or did not converge, see the results.'
            return self.exit_with('ERROR_NO_GOOD_FRAMES', problem)
        return None
