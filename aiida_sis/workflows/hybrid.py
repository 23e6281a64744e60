"""The hybrid run: AIMD bursts and MD with a potential alternate along one trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import engine, orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, WorkChain

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.calculations import md
from aiida_sis.calculations.hybrid import end_of_aimd, join_pieces, summarise_hybrid
from aiida_sis.calculations.trajectories import select_snapshot
from aiida_sis.core.indicator import canonical_band, degrees_of_freedom
from aiida_sis.core.loop.hybrid import counted_md_ps, on_trajectory_fs
from aiida_sis.core.loop.schedule import training_parameters
from aiida_sis.core.loop.seeds import derive_seed
from aiida_sis.core.settings.hybrid import HybridSettings, read_hybrid_settings
from aiida_sis.core.settings.label import read_label_settings
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.validation import validate_seed, validate_sis_inputs

while_: Any = engine.while_  # its type only takes the methods of `WorkChain` itself as steps

_LABEL, _TRAIN, _EXPLORE = 1, 2, 3


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
    systems = {'structure': inputs['structure']}
    problem = validate_sis_inputs({**inputs, 'systems': systems, 'parameters': orm.Dict(settings.as_sis())}, context)
    node = inputs.get('explore', {}).get('md', {}).get('parameters')
    given = node.get_dict() if node is not None else {}
    return problem or md.validate_parameters(orm.Dict(given | settings.md_changes()), None)


class HybridWorkChain(WorkChain):
    """AIMD, training, MD, and again from where the MD ended; where the MD meets a catastrophe, from t_next."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports, the outline and the exit codes.

        :param spec: the process specification.
        """
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, help='Where the trajectory starts.')
        spec.input(
            'type_map',
            valid_type=orm.List,
            serializer=orm.to_aiida_type,
            help='Order of the elements in the potential.',
        )
        spec.input('parameters', valid_type=orm.Dict, serializer=orm.to_aiida_type, help='Keys of `HybridSettings`.')
        spec.input(
            'seed',
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            validator=validate_seed,
            help='Every random choice of the run follows from it.',
        )
        spec.expose_inputs(LabelWorkChain, namespace='label', exclude=('structure', 'velocities', 'type_map', 'seed'))
        spec.expose_inputs(
            DeepmdBaseWorkChain, namespace='train', exclude=('train.datasets', 'train.parent', 'train.seed')
        )
        spec.expose_inputs(
            ExploreWorkChain,
            namespace='explore',
            exclude=('md.structure', 'md.velocities', 'md.potential', 'md.committee', 'md.seed'),
        )
        spec.inputs.validator = validate_hybrid_inputs
        spec.output(
            'summary', valid_type=orm.Dict, help='Cycle by cycle AIMD, MD and catastrophes; acceleration ratio.'
        )
        spec.output('potential', valid_type=PotentialData, required=False, help='The latest potential.')
        spec.output_namespace('datasets', valid_type=DatasetData, dynamic=True, help='All labelled data, by cycle.')
        spec.output(
            'trajectory',
            valid_type=orm.TrajectoryData,
            required=False,
            help='AIMD and MD in their order: positions Å and `forces` eV/Å, each (n_frames, n_atoms, 3); cells Å '
            '(n_frames, 3, 3); times ps along the one trajectory, `cycle` and `is_aimd`, each (n_frames,).',
        )
        spec.exit_code(401, 'ERROR_LABELLING_FAILED', 'The AIMD of cycle {cycle} gave no usable frame.')
        spec.exit_code(402, 'ERROR_TRAINING_FAILED', 'The training of cycle {cycle} failed.')
        spec.exit_code(403, 'ERROR_EXPLORATION_FAILED', 'The MD of cycle {cycle} could not be read.')
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
            'temperature_k': given.get('temperature_k', 300.0),
            'window_k': given['stages'][0]['window_k'],
            'aimd_length_fs': label.length_fs,
            'first_aimd_length_fs': given['initial_length_fs'],
            'md_length_ps': label.length_fs * 1e-2,
            'optimise_first': given.get('optimise_first', True),
            'learning': given.get('learning', {}),
        } | own
        read_hybrid_settings(parameters)
        builder = cls.get_builder()
        builder.structure = structure
        builder.parameters = orm.Dict(parameters)
        builder._merge({key: sis[key] for key in ('type_map', 'seed', 'label', 'train', 'explore')})
        return builder

    def setup(self) -> None:
        """Set the counters of the loop."""
        self.ctx.settings = self.inputs.parameters.get_dict()
        self.ctx.cycle = 0
        self.ctx.start = {'structure': self.inputs.structure}
        self.ctx.datasets = {}
        self.ctx.potential = None
        self.ctx.continued = []
        self.ctx.pieces = []
        self.ctx.nodes = {}
        self.ctx.record = {}

    @property
    def settings(self) -> HybridSettings:
        """The settings of the run, typed."""
        return read_hybrid_settings(self.ctx.settings)

    def cycles_remain(self) -> bool:
        """Tell whether there is another cycle to run."""
        return bool(self.ctx.cycle < self.settings.cycles)

    # --- AIMD ------------------------------------------------------------------------------------------------------

    def run_aimd(self) -> None:
        """Run the AIMD burst from where the trajectory is, with its velocities."""
        cycle, settings = self.ctx.cycle, self.settings
        exposed = AttributeDict(self.exposed_inputs(LabelWorkChain, 'label'))
        exposed.update(self.ctx.start)
        exposed.type_map = self.inputs.type_map
        exposed.seed = orm.Int(derive_seed(self.inputs.seed.value, _LABEL, cycle))
        own = {
            'temperature_k': settings.temperature_k,
            'generation': cycle,
            'length_fs': settings.aimd_length(cycle),
            'optimise_first': settings.optimise_first and cycle == 0,
        }
        exposed.parameters = orm.Dict(exposed.parameters.get_dict() | own | self._fixed())
        self._submit('label', LabelWorkChain, exposed)

    def add_frames(self) -> ExitCode | None:
        """Add the frames of the AIMD to the data and to the trajectory, and take its end.

        :returns: an exit code where there are none.
        """
        node = self._child('label')
        if 'dataset' not in node.outputs:
            return self._end_with(self.exit_codes.ERROR_LABELLING_FAILED.format(cycle=self.ctx.cycle))
        trajectory = node.outputs.trajectory
        self.ctx.datasets[f'c{self.ctx.cycle}'] = node.outputs.dataset
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
        cycle = self.ctx.cycle
        exposed = AttributeDict(self.exposed_inputs(DeepmdBaseWorkChain, 'train'))
        train = exposed.train
        train.datasets = dict(self.ctx.datasets)
        train.seed = orm.Int(derive_seed(self.inputs.seed.value, _TRAIN, cycle))
        train.parameters = orm.Dict(training_parameters(train.parameters.get_dict(), cycle, self.settings.learning))
        settings = train.settings.get_dict() if 'settings' in train else {}
        train.settings = orm.Dict(settings | {'mask_fixed_atoms': self.settings.learning.mask_fixed_atoms})
        if self.ctx.potential is not None:
            train.parent = self.ctx.potential
        self._submit('train', DeepmdBaseWorkChain, exposed)

    def inspect_potential(self) -> ExitCode | None:
        """Take the potential.

        :returns: an exit code where the training failed.
        """
        node = self._child('train')
        if not node.is_finished_ok or 'potential' not in node.outputs:
            return self._end_with(self.exit_codes.ERROR_TRAINING_FAILED.format(cycle=self.ctx.cycle))
        self.ctx.potential = node.outputs.potential
        return None

    # --- MD --------------------------------------------------------------------------------------------------------

    def run_molecular_dynamics(self) -> None:
        """Go on from the end of the AIMD, with its velocities where they are known."""
        settings = self.settings
        exposed = AttributeDict(self.exposed_inputs(ExploreWorkChain, 'explore'))
        exposed.md.update(self.ctx.start)
        exposed.md.potential = self.ctx.potential
        exposed.md.seed = orm.Int(derive_seed(self.inputs.seed.value, _EXPLORE, self.ctx.cycle))
        exposed.md.parameters = orm.Dict(exposed.md.parameters.get_dict() | settings.md_changes())
        self.ctx.continued.append('velocities' in self.ctx.start)
        self._submit('explore', ExploreWorkChain, exposed)

    def find_next_start(self) -> ExitCode | None:
        """Take the end of the MD, or its snapshot at t_next, as the start of the next cycle.

        :returns: an exit code where the MD could not be read.
        """
        node = self._child('explore')
        if not node.is_finished_ok:
            return self._end_with(self.exit_codes.ERROR_EXPLORATION_FAILED.format(cycle=self.ctx.cycle))
        results = node.outputs.results.get_dict()
        if 'trajectory' in node.outputs:
            self._add_piece('md', node.outputs.trajectory, counted_md_ps(results))
        if results['catastrophe'] is None:
            start = dict(select_snapshot(node.outputs.trajectory, orm.Int(-1)))
        else:
            self.report(f'cycle {self.ctx.cycle}: catastrophic point at {results["catastrophe"]["time_ps"]:.3f} ps')
            index = orm.Int(results['t_next']['snapshot_index'])
            start = dict(select_snapshot(node.outputs.snapshots, index))
            if self._is_hot(start['structure'], start['velocities']):
                del start['velocities']
        self.ctx.start = start
        self.ctx.cycle += 1
        return None

    def _is_hot(self, structure: orm.StructureData, velocities: orm.ArrayData) -> bool:
        """Tell whether a snapshot is hotter than its AIMD may be: CP2K then draws new velocities."""
        fixed = self.settings.fixed_atoms
        sigmas = read_label_settings(self.inputs.label.parameters.get_dict()).hot_sigmas
        n_dof = degrees_of_freedom(len(structure.sites), len(fixed))
        limit = canonical_band(self.settings.temperature_k, n_dof, sigmas)[1]
        return (md.temperature_of(structure, velocities.get_array('velocities'), fixed) or 0.0) > limit

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
            timestep = read_label_settings(self.inputs.label.parameters.get_dict()).timestep_fs
            facts = {
                'interval_fs': self.settings.frame_interval_fs,
                'timestep_fs': timestep,
                'pieces': list(self.ctx.pieces),
            }
            self.out('trajectory', join_pieces(orm.Dict(facts), **self.ctx.nodes))

    def _fixed(self) -> dict[str, Any]:
        fixed = list(self.settings.fixed_atoms)
        return {'fixed_atoms': fixed} if fixed else {}

    def _add_piece(self, kind: str, trajectory: orm.TrajectoryData, duration_ps: float) -> None:
        name = f'piece_{len(self.ctx.pieces):03d}_{kind}'
        entry = {'name': name, 'kind': kind, 'cycle': self.ctx.cycle, 'duration_ps': duration_ps}
        self.ctx.pieces.append(entry)
        self.ctx.nodes[name] = trajectory

    def _submit(self, kind: str, process: type[WorkChain], inputs: AttributeDict) -> None:
        key = f'{kind}_c{self.ctx.cycle}'
        inputs.metadata = {'call_link_label': key}
        node = self.submit(process, **inputs)
        self.report(f'cycle {self.ctx.cycle}: {process.__name__}<{node.pk}>')
        self.to_context(**{key: node})

    def _child(self, kind: str) -> orm.WorkChainNode:
        key = f'{kind}_c{self.ctx.cycle}'
        node: orm.WorkChainNode = self.ctx[key]
        if 'results' in node.outputs:
            self.ctx.record[key] = node.outputs.results
        if not node.is_finished_ok:
            self.report(f'{key}<{node.pk}> ended with exit status {node.exit_status}: {node.exit_message}')
        return node

    def _end_with(self, exit_code: ExitCode) -> ExitCode:
        """Return all that was computed before the run ends early.

        :param exit_code: why it ends.
        :returns: the same exit code.
        """
        self.report(exit_code.message or '')
        self.results()
        return exit_code
