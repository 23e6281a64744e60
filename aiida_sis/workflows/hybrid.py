"""The hybrid run: AIMD bursts and MD with a potential alternate along one trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import engine, orm
from aiida.engine import ExitCode

from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.calculations import md
from aiida_sis.calculations.hybrid import end_of_aimd, join_pieces, summarise_hybrid
from aiida_sis.calculations.trajectories import select_snapshot
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, TRAIN
from aiida_sis.core.loop.hybrid import counted_md_ps, on_trajectory_fs
from aiida_sis.core.loop.record import MdResults
from aiida_sis.core.settings.base import Cleaning
from aiida_sis.core.settings.hybrid import HybridSettings, read_hybrid_settings
from aiida_sis.core.settings.label import read_label_settings
from aiida_sis.core.settings.sis import LearningSchedule, Replica, read_settings
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.loop_base import LoopWorkChain
from aiida_sis.workflows.ports import define_hybrid_ports, define_shared_ports
from aiida_sis.workflows.sampling import FailedMd, next_start, tells_its_end
from aiida_sis.workflows.validation import validate_sis_inputs

while_: Any = engine.while_  # its type only takes the methods of `WorkChain` itself as steps

_SYSTEM = 'structure'


def validate_hybrid_inputs(inputs: Mapping[str, Any], context: object) -> str | None:
    """Check the inputs of a hybrid run against each other, as those of a SIS run with one system and one stage.

    :param inputs: the inputs of the workchain.
    :param context: the port namespace.
    :returns: one sentence that names the input, the value and the remedy, or nothing where all is well.
    """
    if 'parameters' not in inputs or 'structure' not in inputs:
        return None
    try:
        settings = read_hybrid_settings(inputs['parameters'].get_dict())
    except ValueError as exception:
        return str(exception)
    systems = {_SYSTEM: inputs['structure']}
    problem = validate_sis_inputs({**inputs, 'systems': systems, 'parameters': orm.Dict(settings.as_sis())}, context)
    node = inputs.get('explore', {}).get('md', {}).get('parameters')
    given = node.get_dict() if node is not None else {}
    return problem or md.validate_parameters(orm.Dict(given | settings.md_changes()), None)


class HybridWorkChain(LoopWorkChain):
    """AIMD, training, MD, and again from where the MD ended; where the MD meets a catastrophe, from t_next."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports, the outline and the exit codes.

        :param spec: the process specification.
        """
        super().define(spec)
        define_hybrid_ports(spec)
        define_shared_ports(spec, 'HybridSettings', validate_hybrid_inputs)
        spec.outline(
            cls.setup,
            while_(cls.cycles_remain)(
                cls.run_aimd,
                cls.add_frames,
                cls.train_potential,
                cls.inspect_potential,
                cls.run_molecular_dynamics,
                cls.find_next_start,
            ),
            cls.results,
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode | str],
        structure: orm.StructureData,
        protocol: str = 'demo',
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        seed: int = 1,
    ) -> Any:
        """Give a builder that is filled by a protocol of the SIS run, with ten parts of MD to one of AIMD as in HAIR.

        :param codes: the codes or their labels under the keys ``cp2k``, ``dp`` and ``lmp``.
        :param structure: where the trajectory starts.
        :param protocol: name of the protocol, see ``aiida_sis.workflows.protocols``.
        :param overrides: nested dictionary with the layout of the protocol; its section ``hybrid`` holds keys of
            ``HybridSettings``, which replace what follows from the protocol.
        :param options: scheduler options for every job, or one dictionary for each code key.
        :param seed: the seed of the run.
        :returns: a builder, ready to be submitted.
        :raises ValueError: in one sentence, for an unknown protocol or key, or a code that is missing.
        """
        from aiida_sis.workflows.protocols.given import split_overrides
        from aiida_sis.workflows.sis import SisWorkChain

        changes, own = split_overrides({} if overrides is None else overrides)
        sis = SisWorkChain.get_builder_from_protocol(
            codes, {'structure': structure}, protocol, changes, options, seed
        )._inputs(prune=True)
        given, label = sis['parameters'].get_dict(), read_label_settings(sis['label']['parameters'].get_dict())
        parameters = {
            'temperature_k': read_settings(given).temperature_k,
            'window_k': sis['explore']['md']['parameters']['window_k'],
            'aimd_length_fs': label.length_fs,
            'first_aimd_length_fs': given['initial_length_fs'],
            'md_length_ps': label.length_fs * 1e-2,
            'optimise_first': given.get('optimise_first', True),
            'learning': given.get('learning', {}),
            'clean_workdir': read_settings(given).clean_workdir,
        } | own
        read_hybrid_settings(parameters)
        builder = cls.get_builder()
        builder.structure = structure
        builder.parameters = orm.Dict(parameters)
        builder._merge({key: sis[key] for key in ('type_map', 'seed', 'label', 'train', 'explore')})
        return builder

    def setup(self) -> None:
        """Begin the trajectory at its structure."""
        self.begin()
        self.ctx.start = {'structure': self.inputs.structure}
        self.ctx.potential = None
        self.ctx.continued = []
        self.ctx.pieces = []
        self.ctx.nodes = {}

    @property
    def settings(self) -> HybridSettings:
        """The settings of the run, typed."""
        return read_hybrid_settings(self.ctx.settings)

    @property
    def learning(self) -> LearningSchedule:
        """How fine-tunings differ from the first training."""
        return self.settings.learning

    @property
    def cleaning(self) -> Cleaning:
        """Of which parts the work directories are emptied."""
        return self.settings.clean_workdir

    def cycles_remain(self) -> bool:
        """Tell whether there is another cycle to run; a cycle is a generation."""
        return bool(self.ctx.generation < self.settings.cycles)

    # --- AIMD ------------------------------------------------------------------------------------------------------

    def run_aimd(self) -> None:
        """Run the AIMD burst from where the trajectory is, with its velocities."""
        cycle, settings = self.ctx.generation, self.settings
        own = {
            'temperature_k': settings.temperature_k,
            'length_fs': settings.aimd_length(cycle),
            'optimise_first': settings.optimise_first and cycle == 0,
        }
        inputs = self.label_inputs(self.seed(LABEL, cycle), self.ctx.start, own, settings.fixed_atoms)
        self.submit_part(self.call(LABEL), LabelWorkChain, inputs, f'generation {cycle}: AIMD')

    def add_frames(self) -> ExitCode | None:
        """Add the frames of the AIMD to the data and to the trajectory, and take its end.

        :returns: an exit code where there are none.
        """
        call = self.call(LABEL)
        node = self.part(call)
        if 'dataset' not in node.outputs:
            return self.end_with('ERROR_LABELLING_FAILED', self.ctx.cause)
        trajectory = node.outputs.trajectory
        self.ctx.datasets[call.key] = node.outputs.dataset
        timestep = read_label_settings(node.inputs.parameters.get_dict()).timestep_fs
        duration = on_trajectory_fs(node.outputs.results.get_dict(), timestep) * 1e-3
        self._add_piece('aimd', trajectory, min(duration, (trajectory.numsteps - 1) * timestep * 1e-3))
        jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
        last = max((job for job in jobs if 'retrieved' in job.outputs), key=lambda job: job.ctime)
        self.ctx.start = dict(end_of_aimd(trajectory, last.outputs.retrieved))
        return None

    # --- training --------------------------------------------------------------------------------------------------

    def train_potential(self) -> None:
        """Train on all frames so far, from the potential of the cycle before."""
        cycle = self.ctx.generation
        inputs = self.training_inputs(self.seed(TRAIN, cycle), self.ctx.potential, {})
        self.submit_part(self.call(TRAIN), DeepmdBaseWorkChain, inputs, f'generation {cycle}: training')

    def inspect_potential(self) -> ExitCode | None:
        """Take the potential.

        :returns: an exit code where the training failed.
        """
        node = self.part(self.call(TRAIN))
        if not node.is_finished_ok or 'potential' not in node.outputs:
            return self.end_with('ERROR_TRAINING_FAILED', self.ctx.cause)
        self.ctx.potential = node.outputs.potential
        return None

    # --- MD --------------------------------------------------------------------------------------------------------

    def run_molecular_dynamics(self) -> None:
        """Go on from the end of the AIMD, with its velocities where they are known."""
        cycle, settings = self.ctx.generation, self.settings
        self.ctx.continued.append('velocities' in self.ctx.start)
        inputs = self.md_inputs(
            self.seed(EXPLORE, cycle), self.ctx.start, self.ctx.potential, settings.md_changes(), settings.fixed_atoms
        )
        self.submit_part(self.call(EXPLORE, stage=0), ExploreWorkChain, inputs, f'generation {cycle}: MD')

    def find_next_start(self) -> ExitCode | None:
        """Take the end of the MD, or its snapshot at t_next, as the start of the next cycle.

        :returns: an exit code where the MD could not be read.
        """
        node, settings = self.part(self.call(EXPLORE, stage=0)), self.settings
        if not node.is_finished_ok or not tells_its_end(node) or 'trajectory' not in node.outputs:
            return self.end_with('ERROR_EXPLORATION_FAILED', self.ctx.cause)
        results = node.outputs.results.get_dict()
        self._add_piece('md', node.outputs.trajectory, counted_md_ps(results))
        point = MdResults.model_validate(results).catastrophe
        if point is None:
            self.ctx.start = dict(select_snapshot(node.outputs.trajectory, orm.Int(-1)))
        else:
            self.report(f'generation {self.ctx.generation}: catastrophic point at {point.time_ps:.3f} ps')
            replica = Replica(_SYSTEM, settings.temperature_k)
            sigmas = self.label_settings.hot_sigmas
            self.ctx.start = next_start(
                FailedMd(node, replica, settings.fixed_atoms, self.ctx.start['structure'], sigmas)
            )
        self.ctx.generation += 1
        return None

    # --- end -------------------------------------------------------------------------------------------------------

    def results(self) -> None:
        """Return the summary, the joined trajectory, the latest potential and every dataset."""
        outcome = 'finished' if not self.cycles_remain() else 'ended early'
        continued = orm.List(list(self.ctx.continued))
        self.out('summary', summarise_hybrid(orm.Str(outcome), self.inputs.parameters, continued, **self.ctx.record))
        if self.ctx.potential is not None:
            self.out('potential', self.ctx.potential)
        if self.ctx.datasets:
            self.out('datasets', dict(self.ctx.datasets))
        if self.ctx.pieces:
            facts = {
                'interval_fs': self.settings.frame_interval_fs,
                'timestep_fs': self.label_settings.timestep_fs,
                'pieces': list(self.ctx.pieces),
            }
            self.out('trajectory', join_pieces(orm.Dict(facts), **self.ctx.nodes))

    def _add_piece(self, kind: str, trajectory: orm.TrajectoryData, duration_ps: float) -> None:
        name = f'piece_{len(self.ctx.pieces):03d}_{kind}'
        entry = {'name': name, 'kind': kind, 'cycle': self.ctx.generation, 'duration_ps': duration_ps}
        self.ctx.pieces.append(entry)
        self.ctx.nodes[name] = trajectory
