"""Stability-indicated sampling: the loop of the method's paper (Xu et al. 2023, doi 10.1021/acs.jpcc.3c05522)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import engine, orm
from aiida.engine import ExitCode

from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.calculations.summary import summarise
from aiida_sis.core.loop.call_labels import EXPLORE, TRAIN, Call
from aiida_sis.core.loop.record import MdResults, TrainingResults
from aiida_sis.core.loop.summary import forgetting, trainings_of
from aiida_sis.core.settings.sis import training_weights
from aiida_sis.core.stage_windows import stage_windows
from aiida_sis.core.wording import in_ev_per_angstrom, in_kelvin
from aiida_sis.workflows.early_sign import distance_parameters
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.labelling_loop import LabellingLoop
from aiida_sis.workflows.ports import define_shared_ports, define_sis_ports
from aiida_sis.workflows.sampling import deviation_parameters, is_in_doubt, tells_its_end
from aiida_sis.workflows.validation import validate_sis_inputs

# Their types only take the methods of `WorkChain` itself as steps.
if_: Any = engine.if_
while_: Any = engine.while_


class SisWorkChain(LabellingLoop):
    """Label, train, explore; where the MD's temperature leaves its window, label what was before and go on.

    Once the MD is stable, the teacher says how right it is; where it is too wrong, its own frames are learnt.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports, the outline and the exit codes.

        :param spec: the process specification.
        """
        super().define(spec)
        define_sis_ports(spec)
        define_shared_ports(spec, 'SisSettings', validate_sis_inputs)
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
                    if_(cls.must_verify)(
                        cls.label_stable_dynamics,
                        cls.find_true_error,
                    ),
                ),
                if_(cls.met_catastrophic_point)(
                    cls.begin_generation,
                    if_(cls.takes_ladders)(
                        cls.label_ladders,
                        cls.measure_next_starts,
                    ),
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
        self.begin()
        self.ctx.stage = 0
        self.ctx.catastrophes = []
        self.ctx.n_merged = 0
        self.ctx.retreats = 0
        self.ctx.ladders = {}
        self.ctx.n_not_verified = 0
        self.ctx.verified = None
        self.ctx.errors = None
        self.ctx.start_structures = dict(self.inputs.systems)
        self.ctx.datasets = {f'start_{name}': node for name, node in self.inputs.get('datasets', {}).items()}
        self.ctx.potentials = {}
        self.ctx.committee = []
        self.ctx.shortest = {}
        self.ctx.last_md = []

    def must_train_first(self) -> bool:
        """Tell whether generation 0 trains a potential; otherwise take the one that was given."""
        if self.settings.start == 'train':
            return True
        self.ctx.potentials[self.call(TRAIN).key] = self.inputs.potential
        return False

    # --- train -----------------------------------------------------------------------------------------------------

    def is_not_stable(self) -> bool:
        """Tell whether a stage is left that the MD has not passed."""
        return bool(self.ctx.stage < len(self.settings.stages))

    def must_train(self) -> bool:
        """Tell whether this generation has no potential yet; a new one has met no catastrophic point."""
        self.ctx.catastrophes = []
        self.ctx.verified = None
        return self.call(TRAIN).key not in self.ctx.potentials

    def train_potential(self) -> None:
        """Train on all data so far; later generations continue from their parents at a lower learning rate."""
        sampling = self.settings.sampling
        for member in range(sampling.committee_size if sampling.strategy == 'committee' else 1):
            self._submit_training(member)

    def _submit_training(self, member: int) -> None:
        generation, datasets = self.ctx.generation, self.ctx.datasets
        systems = {key: node.base.attributes.get('label') for key, node in datasets.items()}
        n_train = {key: node.n_train for key, node in datasets.items()}
        weights = training_weights(self.settings, systems, n_train)
        changes: dict[str, Any] = {'weights': weights} if weights else {}
        parent = None
        if generation > 0:
            earlier = self.ctx.potentials[Call(generation - 1, TRAIN).key]
            parent = [earlier, *self.ctx.committee][member]
        elif 'potential' in self.inputs:
            parent = self.inputs.potential
            changes['start'] = self.learning.pretrained
        seed = self.seed(TRAIN, generation, *([member] if member else []))
        self.submit_part(
            self.call(TRAIN, member),
            DeepmdBaseWorkChain,
            self.training_inputs(seed, parent, changes),
            f'generation {generation}: training on {len(datasets)} dataset(s)',
        )

    def inspect_potential(self) -> ExitCode | None:
        """Take the potential, or those of the committee, and what was forgotten; end where a training failed."""
        generation = self.ctx.generation
        nodes = [self.part(call) for call in self.calls(TRAIN)]
        if any('potential' not in node.outputs or not node.is_finished_ok for node in nodes):
            return self.end_with('ERROR_TRAINING_FAILED', self.ctx.cause)
        self.ctx.potentials[self.call(TRAIN).key] = nodes[0].outputs.potential
        self.ctx.committee = [node.outputs.potential for node in nodes[1:]]
        error = TrainingResults.model_validate(nodes[0].outputs.results.get_dict()).force_rmse_ev_per_angstrom
        self.report(f'generation {generation}: force RMSE on held-out frames {in_ev_per_angstrom(error)}')
        trainings = trainings_of({name: node.get_dict() for name, node in self.ctx.record.items()})
        for key, row in forgetting(trainings).items():
            if row['last'] > row['best']:
                self.report(f'held-out frames of {key}: force RMSE {row["last"]:.3f} eV/Å, best {row["best"]:.3f}')
        return None

    # --- explore ---------------------------------------------------------------------------------------------------

    def stages_remain(self) -> bool:
        """Tell whether this potential has failed in nothing yet and has a stage before it."""
        return not self.ctx.catastrophes and self.ctx.verified is not False and self.is_not_stable()

    def run_molecular_dynamics(self) -> None:
        """Run the MD of one stage, all replicas of all systems side by side."""
        generation, number = self.ctx.generation, self.ctx.stage
        settings = self.settings
        stage = settings.stages[number]
        potential = self.ctx.potentials[self.call(TRAIN).key]
        distances = distance_parameters(settings.sampling, self.ctx.datasets, potential, self.ctx.shortest)
        for index, replica in enumerate(self.replicas):
            structure = self.ctx.start_structures[replica.system]
            window = stage_windows(settings, replica, len(structure.sites), len(self.replicas))[number]
            own = {
                'temperature_k': replica.temperature_k,
                'window_k': list(window),
                'length_ps': stage.length_ps,
                **deviation_parameters(settings.sampling),
                **distances,
            }
            inputs = self.md_inputs(
                self.seed(EXPLORE, generation, number, index),
                {'structure': structure},
                potential,
                own,
                settings.system(replica.system).fixed_atoms,
            )
            if self.ctx.committee:
                inputs.md.committee = {f'm{member}': node for member, node in enumerate(self.ctx.committee, 1)}
            place = f'generation {generation}, {stage.name}: MD of {replica.system}'
            what = f'{place}, {stage.length_ps:g} ps in {window[0]:g} to {window[1]:g} K'
            self.submit_part(self.call(EXPLORE, index, number), ExploreWorkChain, inputs, what)

    def find_catastrophic_points(self) -> ExitCode | None:
        """Collect the catastrophic points; without any, the stage is passed.

        :returns: an exit code where no MD could be read, or where a stage can't be judged.
        """
        generation, number = self.ctx.generation, self.ctx.stage
        stage = self.settings.stages[number]
        unread = False
        self.ctx.last_md = self.calls(EXPLORE, number)
        for call in self.ctx.last_md:
            node = self.part(call)
            if not node.is_finished_ok or not tells_its_end(node):
                unread = True
                lost = f'MD <{node.pk}> says neither that it reached its length nor why it did not.'
                self.ctx.cause = self.ctx.cause or lost
                continue
            results = MdResults.model_validate(node.outputs.results.get_dict())
            system = self.replicas[call.number].system
            if point := results.catastrophe:
                self.report(
                    f'generation {generation}, {system}: catastrophic point at {point.time_ps:.3f} ps '
                    f'({point.how}, {in_kelvin(point.temperature_k)})'
                )
            if not results.stable:
                self.ctx.catastrophes.append(call)
            elif is_in_doubt(node, self.settings.sampling):
                self.report(f'generation {generation}, {system}: stable, but the committee is in doubt')
                self.ctx.catastrophes.append(call)
        if self.ctx.catastrophes:
            return None
        if unread:
            return self.end_with('ERROR_EXPLORATION_FAILED', self.ctx.cause)
        self.report(f'generation {generation}: stage {stage.name}, {stage.length_ps:g} ps stable on every replica')
        self.ctx.stage += 1
        return None

    def met_catastrophic_point(self) -> bool:
        """Tell whether this generation met a catastrophic point, or was found wrong along its stable MD."""
        return self.is_not_stable()

    def begin_generation(self) -> ExitCode | None:
        """Begin the next generation, or end where no further one is allowed."""
        if self.ctx.generation >= self.settings.max_generations:
            return self.end_with('ERROR_MAX_GENERATIONS')
        self.ctx.generation += 1
        self.ctx.n_merged = self.ctx.retreats = 0
        self.ctx.ladders = {}
        return None

    # --- end -------------------------------------------------------------------------------------------------------

    def results(self) -> None:
        """Return the summary, every potential and every dataset."""
        outcome = 'not stable' if self.is_not_stable() and self.ctx.verified is not False else 'stable'
        if outcome == 'not stable' and self.ctx.cause is not None:
            outcome = 'not finished'
        if self.ctx.verified is not None and outcome == 'stable':
            outcome += ' and verified' if self.ctx.verified else ', not verified'
        passed, systems = (
            orm.Int(self.ctx.stage + (self.ctx.verified is False)),
            orm.List([replica.system for replica in self.replicas]),
        )
        self.out('summary', summarise(orm.Str(outcome), self.inputs.parameters, passed, systems, **self.ctx.record))
        if self.ctx.errors is not None:
            self.out('errors', self.ctx.errors)
        if self.ctx.potentials:
            self.out('potential', list(self.ctx.potentials.values())[-1])
            self.out('potentials', dict(self.ctx.potentials))
        if self.ctx.datasets:
            self.out('datasets', dict(self.ctx.datasets))
        runs = {call.key: self.ctx[str(call)].outputs for call in self.ctx.last_md}
        found = {key: outputs.trajectory for key, outputs in runs.items() if 'trajectory' in outputs}
        if found:
            self.out('trajectories', found)
