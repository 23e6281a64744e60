"""Stability-indicated sampling: the loop of the method's paper (Xu et al. 2023, doi 10.1021/acs.jpcc.3c05522)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import engine, orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, WorkChain

from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.calculations.summary import summarise
from aiida_sis.core.cp2k import input as cp2k
from aiida_sis.core.loop.schedule import training_parameters
from aiida_sis.core.loop.seeds import derive_seed
from aiida_sis.core.loop.summary import forgetting
from aiida_sis.core.settings.label import read_label_settings
from aiida_sis.core.settings.sis import Replica, SisSettings, plan_replicas, read_settings, training_weights
from aiida_sis.core.wording import in_ev_per_angstrom, in_kelvin
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.ports import define_inputs, define_outputs
from aiida_sis.workflows.sampling import Catastrophe, LabelTask, deviation_parameters, is_in_doubt, label_tasks

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
        define_inputs(spec)
        define_outputs(spec)
        spec.outline(
            cls.setup,
            if_(cls.must_train_first)(
                cls.label_start_structures,
                cls.merge_labelled_data,
            ),
            while_(cls.is_not_stable)(
                if_(cls.must_train)(
                    cls.train_potential,
                    cls.inspect_potential,
                ),
                while_(cls.stages_remain)(
                    cls.run_molecular_dynamics,
                    cls.find_catastrophic_points,
                ),
                if_(cls.met_catastrophic_point)(
                    cls.begin_generation,
                    while_(cls.nothing_new_is_known)(
                        cls.label_next_starts,
                        cls.merge_labelled_data,
                    ),
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
        **given: Any,
    ) -> Any:
        """Give a builder that is filled by a protocol.

        :param codes: the codes or their labels under the keys ``cp2k``, ``dp`` and ``lmp``.
        :param systems: the start structures that MD explores, by name.
        :param protocol: name of the protocol, see ``aiida_sis.workflows.protocols``.
        :param overrides: nested dictionary with the layout of the protocol; its values replace the protocol's.
        :param options: scheduler options for every job, or one dictionary for each code key.
        :param seed: the seed of the run.
        :param given: what the run starts from beside structures: ``supporting`` (structures by name, labelled only),
            ``datasets`` (`DatasetData` by name), ``potential`` (`PotentialData`), or ``continue_from`` (the node of an
            earlier run, whose datasets and potential are taken).
        :returns: a builder, ready to be submitted.
        :raises ValueError: in one sentence, for an unknown protocol or key, or a code that is missing.
        """
        from aiida_sis.workflows.protocols import fill_builder

        return fill_builder(cls.get_builder(), codes, systems, protocol, overrides, options, seed, **given)

    def setup(self) -> None:
        """Set the counters of the loop, and take the data that was given."""
        self.ctx.settings = self.inputs.parameters.get_dict()
        self.ctx.generation = 0
        self.ctx.stage = 0
        self.ctx.catastrophes = []
        self.ctx.n_merged = 0
        self.ctx.retreats = 0
        self.ctx.start_structures = dict(self.inputs.systems)
        self.ctx.datasets = {f'start_{name}': node for name, node in self.inputs.get('datasets', {}).items()}
        self.ctx.potentials = {}
        self.ctx.committee = []
        self.ctx.last_md = []
        self.ctx.record = {}

    @property
    def settings(self) -> SisSettings:
        """The settings of the run, typed."""
        return read_settings(self.ctx.settings)

    @property
    def replicas(self) -> list[Replica]:
        """The MD runs of a stage, by the number of the replica."""
        return plan_replicas(self.settings, list(self.inputs.systems))

    def must_train_first(self) -> bool:
        """Tell whether generation 0 trains a potential; otherwise take the one that was given."""
        if self.settings.start == 'train':
            return True
        self.ctx.potentials['g0'] = self.inputs.potential
        return False

    # --- label -----------------------------------------------------------------------------------------------------

    def label_start_structures(self) -> None:
        """Run the AIMD of generation 0 from every structure, explored and supporting."""
        settings = self.settings
        structures = {**self.inputs.systems, **self.inputs.get('supporting', {})}
        index = 0
        for name, structure in sorted(structures.items()):
            own = settings.system(name)
            temperatures = own.temperatures_k or ()
            for number in range(own.initial_labels or 0):
                replica = Replica(name, temperatures[number % len(temperatures)])
                changes = {'length_fs': own.initial_length_fs, 'optimise_first': own.optimise_first}
                self._submit_label(index, LabelTask(LabelWorkChain, replica, {'structure': structure}), changes)
                index += 1

    def label_next_starts(self) -> None:
        """Label what the strategy takes from each catastrophe: an AIMD from t_next, frames of the MD, or both."""
        settings = self.settings
        tasks = [task for point in self._catastrophes() for task in label_tasks(point, settings.sampling)]
        for index, task in enumerate(tasks, self.ctx.n_merged):
            length = settings.system(task.replica.system).label_length_fs
            self._submit_label(index, task, {} if length is None else {'length_fs': length})

    def _submit_label(self, index: int, task: LabelTask, changes: Mapping[str, Any]) -> None:
        generation, name = self.ctx.generation, task.replica.system
        own = self.settings.system(name)
        exposed = AttributeDict(self.exposed_inputs(LabelWorkChain, 'label'))
        exposed.update(task.inputs)
        exposed.type_map = self.inputs.type_map
        exposed.seed = orm.Int(derive_seed(self.inputs.seed.value, _LABEL, generation, index))
        place = {'temperature_k': task.replica.temperature_k, 'generation': generation, 'label': name}
        fixed = {'fixed_atoms': list(own.fixed_atoms)} if own.fixed_atoms else {}
        exposed.parameters = orm.Dict(exposed.parameters.get_dict() | place | fixed | dict(changes))
        if own.cp2k:
            exposed.cp2k.cp2k.parameters = orm.Dict(cp2k.merge(exposed.cp2k.cp2k.parameters.get_dict(), own.cp2k))
        key = f'label_g{generation}_{index}'
        exposed.metadata = {'call_link_label': key}
        node = self.submit(task.workchain, **exposed)
        self.report(f'generation {generation}: labelling {name}, {task.workchain.__name__}<{node.pk}>')
        self.to_context(**{key: node})

    def merge_labelled_data(self) -> ExitCode | None:
        """Add the new frames to the data; labels that failed are reported and left out.

        :returns: an exit code where there is no frame to train on, or where nothing new was learnt of a catastrophe.
        """
        generation = self.ctx.generation
        new = 0
        keys = self._keys(f'label_g{generation}_')
        for key in keys[self.ctx.n_merged :]:
            node = self.ctx[key]
            self._record(key, node)
            if not node.is_finished_ok:
                self.report(f'{key}<{node.pk}> ended with exit status {node.exit_status}: {node.exit_message}')
            if 'dataset' in node.outputs:
                self.ctx.datasets[key.removeprefix('label_')] = node.outputs.dataset
                new += node.outputs.dataset.n_frames
            system = node.inputs.parameters['label']
            if generation == 0 and system in self.ctx.start_structures and 'optimised_structure' in node.outputs:
                self.ctx.start_structures[system] = node.outputs.optimised_structure
        self.ctx.n_merged = len(keys)
        if new == 0 and generation > 0 and self._retreat():
            self.report(
                f'generation {generation}: no frame could be labelled, the MD was spoilt before t_next already: '
                f'retreat {self.ctx.retreats}, further back'
            )
            return None
        if new == 0 and (generation > 0 or not self.ctx.datasets):
            return self._end_with(self.exit_codes.ERROR_LABELLING_FAILED.format(generation=generation))
        self.report(f'generation {generation}: {new} new frames')
        return None

    # --- train -----------------------------------------------------------------------------------------------------

    def is_not_stable(self) -> bool:
        """Tell whether a stage is left that the MD has not passed."""
        return bool(self.ctx.stage < len(self.settings.stages))

    def must_train(self) -> bool:
        """Tell whether this generation has no potential yet; a new one has met no catastrophic point."""
        self.ctx.catastrophes = []
        return f'g{self.ctx.generation}' not in self.ctx.potentials

    def train_potential(self) -> None:
        """Train on all data so far; later generations continue from their parents at a lower learning rate."""
        sampling = self.settings.sampling
        for member in range(sampling.committee_size if sampling.strategy == 'committee' else 1):
            self._submit_training(member)

    def _submit_training(self, member: int) -> None:
        generation, learning = self.ctx.generation, self.settings.learning
        exposed = AttributeDict(self.exposed_inputs(DeepmdBaseWorkChain, 'train'))
        train = exposed.train
        train.datasets = dict(self.ctx.datasets)
        place = (generation, member) if member else (generation,)
        train.seed = orm.Int(derive_seed(self.inputs.seed.value, _TRAIN, *place))
        train.parameters = orm.Dict(training_parameters(train.parameters.get_dict(), generation, learning))
        settings = train.settings.get_dict() if 'settings' in train else {}
        settings['mask_fixed_atoms'] = learning.mask_fixed_atoms
        systems = {key: node.base.attributes.get('label') for key, node in train.datasets.items()}
        n_train = {key: node.n_train for key, node in train.datasets.items()}
        weights = training_weights(self.settings, systems, n_train)
        if weights:
            settings['weights'] = weights
        if generation > 0:
            train.parent = ([self.ctx.potentials[f'g{generation - 1}'], *self.ctx.committee])[member]
        elif 'potential' in self.inputs:
            train.parent = self.inputs.potential
            settings['start'] = learning.pretrained
        train.settings = orm.Dict(settings)
        key = f'train_g{generation}' + (f'_m{member}' if member else '')
        exposed.metadata = {'call_link_label': key}
        node = self.submit(DeepmdBaseWorkChain, **exposed)
        self.report(
            f'generation {generation}: training on {len(train.datasets)} dataset(s), DeepmdBaseWorkChain<{node.pk}>'
        )
        self.to_context(**{key: node})

    def inspect_potential(self) -> ExitCode | None:
        """Take the potential, or those of the committee, and what was forgotten; end where a training failed."""
        generation = self.ctx.generation
        members = [f'train_g{generation}', *self._keys(f'train_g{generation}_m')]
        for key in members:
            self._record(key, self.ctx[key])
        nodes = [self.ctx[key] for key in members]
        if any('potential' not in node.outputs or not node.is_finished_ok for node in nodes):
            return self._end_with(self.exit_codes.ERROR_TRAINING_FAILED.format(generation=generation))
        self.ctx.potentials[f'g{generation}'] = nodes[0].outputs.potential
        self.ctx.committee = [node.outputs.potential for node in nodes[1:]]
        error = nodes[0].outputs.results.get('force_rmse_ev_per_angstrom')
        self.report(f'generation {generation}: force RMSE on held-out frames {in_ev_per_angstrom(error)}')
        for key, row in forgetting({name: node.get_dict() for name, node in self.ctx.record.items()}).items():
            if row['last'] > row['best']:
                self.report(f'held-out frames of {key}: force RMSE {row["last"]:.3f} eV/Å, best {row["best"]:.3f}')
        return None

    # --- explore ---------------------------------------------------------------------------------------------------

    def stages_remain(self) -> bool:
        """Tell whether this potential has met no catastrophic point and has a stage before it."""
        return not self.ctx.catastrophes and self.is_not_stable()

    def run_molecular_dynamics(self) -> None:
        """Run the MD of one stage, all replicas of all systems side by side."""
        generation, number = self.ctx.generation, self.ctx.stage
        settings = self.settings
        stage = settings.stages[number]
        for index, replica in enumerate(self.replicas):
            exposed = AttributeDict(self.exposed_inputs(ExploreWorkChain, 'explore'))
            exposed.md.structure = self.ctx.start_structures[replica.system]
            exposed.md.potential = self.ctx.potentials[f'g{generation}']
            if self.ctx.committee:
                exposed.md.committee = {f'm{member}': node for member, node in enumerate(self.ctx.committee, 1)}
            exposed.md.seed = orm.Int(derive_seed(self.inputs.seed.value, _EXPLORE, generation, number, index))
            own = {
                'temperature_k': replica.temperature_k,
                'window_k': list(stage.window_k),
                'length_ps': stage.length_ps,
                **deviation_parameters(settings.sampling),
            }
            fixed = settings.system(replica.system).fixed_atoms
            own |= {'fixed_atoms': list(fixed)} if fixed else {}
            exposed.md.parameters = orm.Dict(exposed.md.parameters.get_dict() | own)
            key = f'explore_g{generation}_s{number}_r{index}'
            exposed.metadata = {'call_link_label': key}
            node = self.submit(ExploreWorkChain, **exposed)
            self.report(f'generation {generation}, {stage.name}: MD of {replica.system}, ExploreWorkChain<{node.pk}>')
            self.to_context(**{key: node})

    def find_catastrophic_points(self) -> ExitCode | None:
        """Collect the catastrophic points; without any, the stage is passed.

        :returns: an exit code where no MD could be read, or where a stage can't be judged.
        """
        generation, number = self.ctx.generation, self.ctx.stage
        stage = self.settings.stages[number]
        unread = []
        self.ctx.last_md = self._keys(f'explore_g{generation}_s{number}_r')
        for key in self.ctx.last_md:
            node = self.ctx[key]
            self._record(key, node)
            if not node.is_finished_ok:
                unread.append(key)
                self.report(f'{key}<{node.pk}> ended with exit status {node.exit_status}: {node.exit_message}')
                continue
            results = node.outputs.results.get_dict()
            replica = self._replica(key)
            if not results['stable']:
                point = results['catastrophe']
                self.report(
                    f'generation {generation}, {replica.system}: catastrophic point at {point["time_ps"]:.3f} ps '
                    f'({point["bound"]}, {in_kelvin(point["temperature_k"])})'
                )
                self.ctx.catastrophes.append(key)
            elif is_in_doubt(node, self.settings.sampling):
                self.report(f'generation {generation}, {replica.system}: stable, but the committee is in doubt')
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
        """Tell whether this generation met a catastrophic point."""
        return bool(self.ctx.catastrophes)

    def begin_generation(self) -> ExitCode | None:
        """Begin the next generation, or end where no further one is allowed."""
        if self.ctx.generation >= self.settings.max_generations:
            return self._end_with(self.exit_codes.ERROR_MAX_GENERATIONS.format(generation=self.ctx.generation))
        self.ctx.generation += 1
        self.ctx.n_merged = self.ctx.retreats = 0
        return None

    def nothing_new_is_known(self) -> bool:
        """Tell whether this generation has no dataset of its own yet."""
        return not any(key.startswith(f'g{self.ctx.generation}_') for key in self.ctx.datasets)

    def _catastrophes(self) -> list[Catastrophe]:
        """The catastrophes of the last MD from which something can still be taken."""
        sigmas = read_label_settings(self.inputs.label.parameters.get_dict()).hot_sigmas
        found = []
        for key in self.ctx.catastrophes:
            replica = self._replica(key)
            fixed, start = self.settings.system(replica.system).fixed_atoms, self.ctx.start_structures[replica.system]
            found.append(Catastrophe(self.ctx[key], replica, fixed, start, sigmas, self.ctx.retreats))
        return [point for point in found if not point.is_exhausted]

    def _retreat(self) -> bool:
        """Go one step further back, and tell whether an MD has something there."""
        self.ctx.retreats += 1
        return self.ctx.retreats <= self.settings.sampling.max_retreats and bool(self._catastrophes())

    def _replica(self, key: str) -> Replica:
        return self.replicas[int(key.rpartition('_r')[2])]

    # --- end -------------------------------------------------------------------------------------------------------

    def results(self) -> None:
        """Return the summary, every potential and every dataset."""
        outcome = 'stable' if not self.is_not_stable() else 'not stable'
        passed, systems = orm.Int(self.ctx.stage), orm.List([replica.system for replica in self.replicas])
        self.out('summary', summarise(orm.Str(outcome), self.inputs.parameters, passed, systems, **self.ctx.record))
        if self.ctx.potentials:
            self.out('potential', list(self.ctx.potentials.values())[-1])
            self.out('potentials', dict(self.ctx.potentials))
        if self.ctx.datasets:
            self.out('datasets', dict(self.ctx.datasets))
        runs = {key.rpartition('_')[2]: self.ctx[key].outputs for key in self.ctx.last_md}
        found = {key: outputs.trajectory for key, outputs in runs.items() if 'trajectory' in outputs}
        if found:
            self.out('trajectories', found)

    def _end_with(self, exit_code: ExitCode) -> ExitCode:
        """Return all that was computed before the run ends early, and the exit code that says why."""
        self.report(exit_code.message or '')
        self.results()
        return exit_code

    def _record(self, key: str, node: orm.WorkChainNode) -> None:
        if 'results' in node.outputs:
            self.ctx.record[key] = node.outputs.results

    def _keys(self, prefix: str) -> list[str]:
        found = [key for key in self.ctx if key.startswith(prefix) and key.removeprefix(prefix).isdigit()]
        return sorted(found, key=lambda key: int(key.removeprefix(prefix)))
