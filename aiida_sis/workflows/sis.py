"""Stability-indicated sampling: the loop of the method's paper (Xu et al. 2023, doi 10.1021/acs.jpcc.3c05522)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import engine, orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, WorkChain

from aiida_sis.calculations.md import symbols_of
from aiida_sis.calculations.select import select_snapshot
from aiida_sis.calculations.summary import summarise
from aiida_sis.core.label import read_label_settings
from aiida_sis.core.learning import derive_seed, training_parameters
from aiida_sis.core.settings import SisSettings, read_settings
from aiida_sis.core.stability import canonical_band, degrees_of_freedom, kinetic_temperature
from aiida_sis.data.dataset import DatasetData
from aiida_sis.data.potential import PotentialData
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.train import TrainWorkChain
from aiida_sis.workflows.validation import validate_seed, validate_sis_inputs

# Their types only take the methods of `WorkChain` itself as steps.
if_: Any = engine.if_
while_: Any = engine.while_

_LABEL, _TRAIN, _EXPLORE = 1, 2, 3


class SisWorkChain(WorkChain):
    """Label, train, explore; where the MD's temperature leaves its window, label a snapshot from before and go on."""

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports, the outline and the exit codes.

        :param spec: the process specification.
        """
        super().define(spec)
        spec.input_namespace(
            'systems',
            valid_type=orm.StructureData,
            dynamic=True,
            help='The start structures, by name; each is explored.',
        )
        spec.input(
            'type_map',
            valid_type=orm.List,
            serializer=orm.to_aiida_type,
            help='Order of the elements in the potential.',
        )
        spec.input('parameters', valid_type=orm.Dict, serializer=orm.to_aiida_type, help='Keys of `SisSettings`.')
        spec.input(
            'seed',
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            validator=validate_seed,
            help='Every random choice of the run follows from it.',
        )
        spec.expose_inputs(LabelWorkChain, namespace='label', exclude=('structure', 'velocities', 'type_map', 'seed'))
        spec.expose_inputs(TrainWorkChain, namespace='train', exclude=('train.datasets', 'train.parent', 'train.seed'))
        spec.expose_inputs(
            ExploreWorkChain, namespace='explore', exclude=('md.structure', 'md.velocities', 'md.potential', 'md.seed')
        )
        spec.inputs.validator = validate_sis_inputs

        spec.output(
            'summary', valid_type=orm.Dict, help='Generations, catastrophic points, labelled time, acceleration ratio.'
        )
        spec.output('potential', valid_type=PotentialData, required=False, help='The latest potential.')
        spec.output_namespace(
            'potentials', valid_type=PotentialData, dynamic=True, help='The potential of each generation.'
        )
        spec.output_namespace(
            'datasets', valid_type=DatasetData, dynamic=True, help='All labelled data, by generation.'
        )

        spec.exit_code(401, 'ERROR_LABELLING_FAILED', 'No AIMD of generation {generation} gave a single usable frame.')
        spec.exit_code(402, 'ERROR_TRAINING_FAILED', 'The training of generation {generation} failed.')
        spec.exit_code(403, 'ERROR_EXPLORATION_FAILED', 'No MD of generation {generation} could be read.')
        spec.exit_code(
            410, 'ERROR_MAX_GENERATIONS', 'The MD is not stable after the last generation allowed, {generation}.'
        )

        spec.outline(
            cls.setup,
            cls.label_start_structures,
            cls.merge_labelled_data,
            while_(cls.is_not_stable)(
                cls.train_potential,
                cls.inspect_potential,
                while_(cls.stages_remain)(
                    cls.run_molecular_dynamics,
                    cls.find_catastrophic_points,
                ),
                if_(cls.met_catastrophic_point)(
                    cls.select_next_starts,
                    cls.label_next_starts,
                    cls.merge_labelled_data,
                ),
            ),
            cls.results,
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode | str],
        systems: Mapping[str, orm.StructureData],
        protocol: str = 'demo',
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        seed: int = 1,
    ) -> Any:
        """Give a builder that is filled by a protocol.

        :param codes: the codes or their labels under the keys ``cp2k``, ``dp`` and ``lmp``.
        :param systems: the start structures, by name.
        :param protocol: name of the protocol, see ``aiida_sis.workflows.protocols``.
        :param overrides: nested dictionary with the layout of the protocol; its values replace the protocol's.
        :param options: scheduler options for every job, or one dictionary for each code key.
        :param seed: the seed of the run.
        :returns: a builder, ready to be submitted.
        :raises ValueError: in one sentence, for an unknown protocol or key, or a code that is missing.
        """
        from aiida_sis.workflows.protocols import fill_builder

        return fill_builder(cls.get_builder(), codes, systems, protocol, overrides, options, seed)

    def setup(self) -> None:
        """Set the counters of the loop."""
        self.ctx.settings = self.inputs.parameters.get_dict()
        self.ctx.generation = 0
        self.ctx.stage = 0
        self.ctx.catastrophes = []
        self.ctx.starts = {}
        self.ctx.start_structures = dict(self.inputs.systems)
        self.ctx.datasets = {}
        self.ctx.potentials = {}
        self.ctx.record = {}

    @property
    def settings(self) -> SisSettings:
        """The settings of the run, typed."""
        return read_settings(self.ctx.settings)

    # --- label -----------------------------------------------------------------------------------------------------

    def label_start_structures(self) -> None:
        """Run the AIMD of generation 0 from every start structure."""
        settings = self.settings
        index = 0
        for name, structure in sorted(self.inputs.systems.items()):
            for _ in range(settings.initial_labels):
                changes = {'length_fs': settings.initial_length_fs, 'optimise_first': settings.optimise_first}
                self._submit_label(index, name, {'structure': structure}, changes)
                index += 1

    def label_next_starts(self) -> None:
        """Run a short AIMD from each snapshot that was taken before a catastrophic point."""
        for index, (name, inputs) in enumerate(self.ctx.starts):
            self._submit_label(index, name, inputs, {})

    def _submit_label(
        self, index: int, system: str, inputs: Mapping[str, orm.Data], changes: Mapping[str, Any]
    ) -> None:
        generation = self.ctx.generation
        exposed = AttributeDict(self.exposed_inputs(LabelWorkChain, 'label'))
        exposed.update(inputs)
        exposed.type_map = self.inputs.type_map
        exposed.seed = orm.Int(derive_seed(self.inputs.seed.value, _LABEL, generation, index))
        exposed.parameters = orm.Dict(
            exposed.parameters.get_dict()
            | {'temperature_k': self.settings.temperature_k, 'generation': generation, 'label': system}
            | dict(changes)
        )
        key = f'label_g{generation}_{index}'
        exposed.metadata = {'call_link_label': key}
        node = self.submit(LabelWorkChain, **exposed)
        self.report(f'generation {generation}: labelling {system} with AIMD, LabelWorkChain<{node.pk}>')
        self.to_context(**{key: node})

    def merge_labelled_data(self) -> ExitCode | None:
        """Add the new frames to the data; labels that failed are reported and left out.

        :returns: an exit code where no label of this generation gave any frame.
        """
        generation = self.ctx.generation
        new = 0
        for key in self._keys(f'label_g{generation}_'):
            node = self.ctx[key]
            self._record(key, node)
            if not node.is_finished_ok:
                self.report(f'{key}<{node.pk}> ended with exit status {node.exit_status}: {node.exit_message}')
            if 'dataset' in node.outputs:
                self.ctx.datasets[key.removeprefix('label_')] = node.outputs.dataset
                new += node.outputs.dataset.n_frames
            if generation == 0 and 'optimised_structure' in node.outputs:
                self.ctx.start_structures[node.inputs.parameters['label']] = node.outputs.optimised_structure
        if new == 0:
            return self._end_with(self.exit_codes.ERROR_LABELLING_FAILED.format(generation=generation))
        self.report(f'generation {generation}: {new} new frames')
        return None

    # --- train -----------------------------------------------------------------------------------------------------

    def is_not_stable(self) -> bool:
        """Tell whether a stage is left that the MD has not passed.

        :returns: whether the loop goes on.
        """
        return bool(self.ctx.stage < len(self.settings.stages))

    def train_potential(self) -> None:
        """Train on all data so far; later generations continue from their parent at a lower learning rate."""
        generation = self.ctx.generation
        exposed = AttributeDict(self.exposed_inputs(TrainWorkChain, 'train'))
        exposed.train.datasets = dict(self.ctx.datasets)
        exposed.train.seed = orm.Int(derive_seed(self.inputs.seed.value, _TRAIN, generation))
        base = exposed.train.parameters.get_dict()
        exposed.train.parameters = orm.Dict(training_parameters(base, generation, self.settings.learning))
        if generation > 0:
            exposed.train.parent = self.ctx.potentials[f'g{generation - 1}']
        exposed.metadata = {'call_link_label': f'train_g{generation}'}
        node = self.submit(TrainWorkChain, **exposed)
        self.report(
            f'generation {generation}: training on {len(self.ctx.datasets)} dataset(s), TrainWorkChain<{node.pk}>'
        )
        self.to_context(**{f'train_g{generation}': node})

    def inspect_potential(self) -> ExitCode | None:
        """Take the potential.

        :returns: an exit code where the training failed.
        """
        generation = self.ctx.generation
        node = self.ctx[f'train_g{generation}']
        self._record(f'train_g{generation}', node)
        if not node.is_finished_ok or 'potential' not in node.outputs:
            return self._end_with(self.exit_codes.ERROR_TRAINING_FAILED.format(generation=generation))
        self.ctx.potentials[f'g{generation}'] = node.outputs.potential
        self.ctx.catastrophes = []
        error = node.outputs.results.get('force_rmse_ev_per_angstrom')
        self.report(f'generation {generation}: force RMSE on held-out frames {error:.3f} eV/Å')
        return None

    # --- explore ---------------------------------------------------------------------------------------------------

    def stages_remain(self) -> bool:
        """Tell whether this potential has met no catastrophic point and has a stage before it.

        :returns: whether the next stage is run.
        """
        return not self.ctx.catastrophes and self.is_not_stable()

    def run_molecular_dynamics(self) -> None:
        """Run the MD of one stage, all replicas of all systems side by side."""
        generation, number = self.ctx.generation, self.ctx.stage
        settings = self.settings
        stage = settings.stages[number]
        for replica, name in enumerate(self._replica_systems()):
            exposed = AttributeDict(self.exposed_inputs(ExploreWorkChain, 'explore'))
            exposed.md.structure = self.ctx.start_structures[name]
            exposed.md.potential = self.ctx.potentials[f'g{generation}']
            exposed.md.seed = orm.Int(derive_seed(self.inputs.seed.value, _EXPLORE, generation, number, replica))
            exposed.md.parameters = orm.Dict(
                exposed.md.parameters.get_dict()
                | {
                    'temperature_k': settings.temperature_k,
                    'window_k': list(stage.window_k),
                    'length_ps': stage.length_ps,
                }
            )
            key = f'explore_g{generation}_s{number}_r{replica}'
            exposed.metadata = {'call_link_label': key}
            node = self.submit(ExploreWorkChain, **exposed)
            self.report(f'generation {generation}, stage {stage.name}: MD of {name}, ExploreWorkChain<{node.pk}>')
            self.to_context(**{key: node})

    def find_catastrophic_points(self) -> ExitCode | None:
        """Collect the catastrophic points; without any, the stage is passed.

        :returns: an exit code where no MD could be read, or where a stage can't be judged.
        """
        generation, number = self.ctx.generation, self.ctx.stage
        stage = self.settings.stages[number]
        unread = []
        for key in self._keys(f'explore_g{generation}_s{number}_r'):
            node = self.ctx[key]
            self._record(key, node)
            if not node.is_finished_ok:
                unread.append(key)
                self.report(f'{key}<{node.pk}> ended with exit status {node.exit_status}: {node.exit_message}')
                continue
            results = node.outputs.results.get_dict()
            if not results['stable']:
                point = results['catastrophe']
                name = self._replica_systems()[int(key.rpartition('_r')[2])]
                self.report(
                    f'generation {generation}, {name}: catastrophic point at {point["time_ps"]:.3f} ps '
                    f'({point["bound"]}, {_kelvin(point["temperature_k"])})'
                )
                self.ctx.catastrophes.append(key)
        if self.ctx.catastrophes:
            return None
        if unread:
            return self._end_with(self.exit_codes.ERROR_EXPLORATION_FAILED.format(generation=generation))
        self.report(
            f'generation {generation}: stage {stage.name} passed, {stage.length_ps:g} ps stable on every replica'
        )
        self.ctx.stage += 1
        return None

    def met_catastrophic_point(self) -> bool:
        """Tell whether this generation met a catastrophic point.

        :returns: whether a next generation is needed.
        """
        return bool(self.ctx.catastrophes)

    def select_next_starts(self) -> ExitCode | None:
        """Take the snapshot at t_next of every catastrophe as the start of the next AIMD.

        :returns: an exit code where no further generation is allowed.
        """
        if self.ctx.generation >= self.settings.max_generations:
            return self._end_with(self.exit_codes.ERROR_MAX_GENERATIONS.format(generation=self.ctx.generation))
        starts = []
        systems = self._replica_systems()
        for key in self.ctx.catastrophes:
            outputs = self.ctx[key].outputs
            index = orm.Int(outputs.results['t_next']['snapshot_index'])
            selected = select_snapshot(outputs.snapshots, index)
            inputs = {'structure': selected['structure']}
            if not self._is_hot(selected['structure'], selected['velocities']):
                inputs['velocities'] = selected['velocities']
            starts.append((systems[int(key.rpartition('_r')[2])], inputs))
        self.ctx.starts = starts
        self.ctx.generation += 1
        return None

    def _is_hot(self, structure: orm.StructureData, velocities: orm.ArrayData) -> bool:
        """Tell whether a snapshot is hotter than its AIMD may be: it then gives its place, and CP2K new velocities.

        The start of an MD is one, since its velocities are drawn at twice the temperature.
        """
        target = self.settings.temperature_k
        sigmas = read_label_settings(self.inputs.label.parameters.get_dict()).hot_sigmas
        limit = canonical_band(target, degrees_of_freedom(len(structure.sites)), sigmas)[1]
        return kinetic_temperature(symbols_of(structure), velocities.get_array('velocities')) > limit

    # --- end -------------------------------------------------------------------------------------------------------

    def results(self) -> None:
        """Return the summary, every potential and every dataset."""
        outcome = 'stable' if not self.is_not_stable() else 'not stable'
        passed, systems = orm.Int(self.ctx.stage), orm.List(self._replica_systems())
        self.out('summary', summarise(orm.Str(outcome), self.inputs.parameters, passed, systems, **self.ctx.record))
        if self.ctx.potentials:
            self.out('potential', list(self.ctx.potentials.values())[-1])
            self.out('potentials', dict(self.ctx.potentials))
        if self.ctx.datasets:
            self.out('datasets', dict(self.ctx.datasets))

    def _end_with(self, exit_code: ExitCode) -> ExitCode:
        """Return all that was computed before the run ends early.

        :param exit_code: why it ends.
        :returns: the same exit code.
        """
        self.report(exit_code.message or '')
        self.results()
        return exit_code

    def _record(self, key: str, node: orm.WorkChainNode) -> None:
        if 'results' in node.outputs:
            self.ctx.record[key] = node.outputs.results

    def _keys(self, prefix: str) -> list[str]:
        found = [key for key in self.ctx if key.startswith(prefix)]
        return sorted(found, key=lambda key: int(key.removeprefix(prefix)))

    def _replica_systems(self) -> list[str]:
        return [name for name in sorted(self.inputs.systems) for _ in range(self.settings.replicas)]


def _kelvin(temperature: float | None) -> str:
    return 'no finite temperature' if temperature is None else f'{temperature:.0f} K'
