"""What every loop does with its parts: how a label, a training and an MD are filled, submitted and read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, WorkChain

from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.core.loop.call_labels import EXPLORE, LABEL, TRAIN, VERIFY, Call, calls_of
from aiida_sis.core.loop.schedule import training_budget, training_parameters
from aiida_sis.core.loop.seeds import derive_seed
from aiida_sis.core.settings.base import Cleaning
from aiida_sis.core.settings.label import LabelSettings, read_label_settings
from aiida_sis.core.settings.sis import LearningSchedule
from aiida_sis.workflows.clean import clean_workdirs
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.label import LabelWorkChain

#: The first number of the path from which the seed of a part is derived.
_SEEDS = {LABEL: 1, TRAIN: 2, EXPLORE: 3, VERIFY: 5}


class LoopWorkChain(WorkChain):
    """Generations of labels, a training and MD; a loop says in its outline how one follows from the other."""

    @property
    @abstractmethod
    def learning(self) -> LearningSchedule:
        """How fine-tunings differ from the first training."""

    @property
    @abstractmethod
    def cleaning(self) -> Cleaning:
        """Of which parts the work directories are emptied."""

    @abstractmethod
    def results(self) -> None:
        """Return all that was computed so far."""

    @property
    def label_settings(self) -> LabelSettings:
        """The settings of every label, as they were given."""
        return read_label_settings(self.inputs.label.parameters.get_dict())

    def begin(self) -> None:
        """Set what every loop keeps: the generation, the datasets, and the results of all parts by their labels."""
        self.ctx.settings = self.inputs.parameters.get_dict()
        self.ctx.generation = 0
        self.ctx.datasets = {}
        self.ctx.record = {}
        self.ctx.cause = None

    def call(self, kind: str, number: int = 0, stage: int | None = None) -> Call:
        """Name a part of this generation.

        :param kind: ``label``, ``train``, ``explore`` or ``verify``.
        :param number: of the label, of the member of the committee, or of the replica.
        :param stage: of an exploration.
        """
        return Call(self.ctx.generation, kind, number, stage)

    def calls(self, kind: str, stage: int | None = None) -> list[Call]:
        """Give the parts of this generation that have been submitted, by their numbers.

        :param kind: ``label``, ``train``, ``explore`` or ``verify``.
        :param stage: of explorations.
        """
        return calls_of(self.ctx, kind, self.ctx.generation, stage)

    def seed(self, kind: str, *place: int) -> orm.Int:
        """Give a part its own seed.

        :param kind: ``label``, ``train``, ``explore`` or ``verify``.
        :param place: the numbers that tell it from the others of its kind.
        """
        return orm.Int(derive_seed(self.inputs.seed.value, _SEEDS[kind], *place))

    def label_inputs(
        self, seed: orm.Int, given: Mapping[str, orm.Data], own: Mapping[str, Any], fixed_atoms: tuple[int, ...]
    ) -> AttributeDict:
        """Fill a label.

        :param seed: its seed.
        :param given: what it has for itself: a structure with velocities, or frames.
        :param own: its own parameters.
        :param fixed_atoms: numbers of the sites that do not move.
        :returns: the inputs.
        """
        inputs = AttributeDict(self.exposed_inputs(LabelWorkChain, 'label'))
        inputs.update(given)
        inputs.type_map = self.inputs.type_map
        inputs.seed = seed
        inputs.parameters = orm.Dict(inputs.parameters.get_dict() | own | _fixed(fixed_atoms))
        return inputs

    def training_inputs(
        self, seed: orm.Int, parent: PotentialData | None, settings: Mapping[str, Any]
    ) -> AttributeDict:
        """Fill a training on all data so far; later generations continue at a lower learning rate.

        :param seed: its seed.
        :param parent: the potential whose weights it starts from, or nothing.
        :param settings: changes to the settings of the job.
        :returns: the inputs.
        """
        inputs = AttributeDict(self.exposed_inputs(DeepmdBaseWorkChain, 'train'))
        train = inputs.train
        train.datasets = dict(self.ctx.datasets)
        train.seed = seed
        base, has_parent = train.parameters.get_dict(), parent is not None
        train.parameters = orm.Dict(training_parameters(base, self.ctx.generation, self.learning, given=has_parent))
        given = train.settings.get_dict() if 'settings' in train else {}
        if given.get('budget'):
            given['budget'] = training_budget(given['budget'], base, self.ctx.generation, self.learning)
        if settings.get('start') != 'finetune':
            given.pop('model_branch', None)
        train.settings = orm.Dict(given | {'mask_fixed_atoms': self.learning.mask_fixed_atoms} | dict(settings))
        if parent is not None:
            train.parent = parent
        return inputs

    def md_inputs(
        self,
        seed: orm.Int,
        start: Mapping[str, orm.Data],
        potential: PotentialData,
        own: Mapping[str, Any],
        fixed_atoms: tuple[int, ...],
    ) -> AttributeDict:
        """Fill an MD.

        :param seed: its seed.
        :param start: its structure, and velocities where they are known.
        :param potential: what drives it.
        :param own: its own parameters.
        :param fixed_atoms: numbers of the sites that do not move.
        :returns: the inputs.
        """
        inputs = AttributeDict(self.exposed_inputs(ExploreWorkChain, 'explore'))
        inputs.md.update(start)
        inputs.md.potential = potential
        inputs.md.seed = seed
        inputs.md.parameters = orm.Dict(inputs.md.parameters.get_dict() | dict(own) | _fixed(fixed_atoms))
        return inputs

    def submit_part(self, call: Call, process: type[WorkChain], inputs: AttributeDict, what: str) -> None:
        """Submit a part; the context holds its node under its label.

        :param call: which part it is.
        :param process: its workchain.
        :param inputs: its inputs.
        :param what: where the loop is and what the part does, for the report.
        """
        self.ctx.cause = None
        inputs.metadata = {'call_link_label': str(call)}
        node = self.submit(process, **inputs)
        self.report(f'{what}, {process.__name__}<{node.pk}>')
        self.to_context(**{str(call): node})

    def part(self, call: Call) -> orm.WorkChainNode:
        """Give a part that has ended, keep its results and clean up behind it; a failure is reported.

        :param call: which part it is.
        """
        node: orm.WorkChainNode = self.ctx[str(call)]
        if 'results' in node.outputs:
            self.ctx.record[str(call)] = node.outputs.results
        if not node.is_finished_ok:
            self.report(f'{call}<{node.pk}> ended with exit status {node.exit_status}: {node.exit_message}')
            self.ctx.cause = node.exit_message
        if self.cleaning == 'all' or (self.cleaning == 'finished_ok' and node.is_finished_ok):
            problem = clean_workdirs([node])
            if problem:
                self.report(f'{call}<{node.pk}>: {problem}')
        return node

    def end_with(self, name: str, cause: str | None = None) -> ExitCode:
        """Return all that was computed before the run ends early.

        :param name: of the exit code that says why.
        :param cause: what the part said that failed, put behind the message.
        :returns: the exit code.
        """
        code: ExitCode = self.exit_codes[name].format(generation=self.ctx.generation)
        if cause:
            code = ExitCode(code.status, f'{(code.message or "").rstrip(".")}: {cause}', code.invalidates_cache)
        self.report(code.message or '')
        self.ctx.cause = cause
        self.results()
        return code


def _fixed(atoms: tuple[int, ...]) -> dict[str, Any]:
    return {'fixed_atoms': list(atoms)} if atoms else {}
