"""What the loop of stability-indicated sampling asks of the teacher: AIMD, the ladders, and frames of the stable MD."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode

from aiida_deepmd.frames import Limits
from aiida_sis.calculations.single_points import (
    judge_stable_md,
    measure_t_next,
    select_rungs,
    select_verification_frames,
)
from aiida_sis.core.loop.call_labels import LABEL, LADDER, VERDICT, VERIFY, Call, read_call
from aiida_sis.core.loop.outcome import verification_lines
from aiida_sis.core.loop.record import Verification
from aiida_sis.core.overlay import merge
from aiida_sis.core.settings.base import Cleaning
from aiida_sis.core.settings.md import read_md_settings
from aiida_sis.core.settings.sis import LearningSchedule, Replica, SisSettings, plan_replicas, read_settings
from aiida_sis.core.single_points import largest_forces
from aiida_sis.workflows.cp2k_base import call as call_function
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.loop_base import LoopWorkChain
from aiida_sis.workflows.replay import ReplayWorkChain
from aiida_sis.workflows.sampling import WITH_LADDER, FailedMd, LabelTask, label_tasks

#: Shares of the frames that a label trains on, validates with and tests: of frames on the way to a catastrophe, whose
#: error says nothing of any MD, and of frames of a stable one.
TAUGHT, TAUGHT_AND_TESTED = [1.0, 0.0, 0.0], [0.8, 0.0, 0.2]


class LabellingLoop(LoopWorkChain):
    """The steps of the loop that label, and what follows from their labels at once."""

    @abstractmethod
    def is_not_stable(self) -> bool:
        """Tell whether a stage is left that the MD has not passed."""

    @property
    def settings(self) -> SisSettings:
        """The settings of the run, typed."""
        return read_settings(self.ctx.settings)

    @property
    def learning(self) -> LearningSchedule:
        """How fine-tunings differ from the first training."""
        return self.settings.learning

    @property
    def cleaning(self) -> Cleaning:
        """Of which parts the work directories are emptied."""
        return self.settings.clean_workdir

    @property
    def replicas(self) -> list[Replica]:
        """The MD runs of a stage, by the number of the replica."""
        return plan_replicas(self.settings, list(self.inputs.systems))

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

    def takes_ladders(self) -> bool:
        """Tell whether a ladder leads back from each catastrophe."""
        return bool(self.ctx.catastrophes) and self.settings.sampling.strategy in WITH_LADDER

    def label_ladders(self) -> None:
        """Label frames of each failed MD, further and further before its catastrophe, by single points."""
        wanted = orm.Dict(self.settings.sampling.ladder.model_dump(include={'first_rung_fs'}))
        for index, point in enumerate(self._catastrophes()):
            outputs = point.node.outputs
            frames = {name: outputs[name] for name in ('snapshots', 'trajectory') if name in outputs}
            rungs = select_rungs(outputs.results, wanted, **frames)
            self._submit_label(index, LabelTask(ReplayWorkChain, point.replica, {'frames': rungs}))

    def measure_next_starts(self) -> None:
        """Find t_next of each catastrophe: the latest rung of its ladder whose forces were still right."""
        settings = self.settings
        limits = {'force_rmse_max': settings.rung_rmse_max, 'max_force': self._max_force()}
        for explored, point, call in zip(self.ctx.catastrophes, self._catastrophes(), self.calls(LABEL), strict=True):
            node = self.part(call)
            labels = {'labels': node.outputs.trajectory} if 'trajectory' in node.outputs else {}
            ladder = replace(call, kind=LADDER)
            given = node.inputs.frames, point.node.outputs.results, orm.Dict(limits)
            measured = call_function(measure_t_next, str(ladder), *given, **labels)
            self.ctx.record[str(ladder)] = measured
            self.ctx.ladders[str(explored)] = str(ladder)
            found = f'{t_next:.3f} ps' if (t_next := measured['t_next_ps']) is not None else 'nowhere, no rung is right'
            self.report(
                f'generation {self.ctx.generation}, {point.replica.system}: t_next measured at {found}; '
                f'{measured["n_learnt"]} of {len(measured["rungs"])} rungs are data'
            )

    def label_next_starts(self) -> None:
        """Label what the strategy takes from each catastrophe: an AIMD from t_next, frames of the MD, or both."""
        settings = self.settings
        tasks = [task for point in self._catastrophes() for task in label_tasks(point, settings.sampling)]
        for index, task in enumerate(tasks, len(self.calls(LABEL))):
            length = settings.system(task.replica.system).label_length_fs
            self._submit_label(index, task, {} if length is None else {'length_fs': length})

    def _max_force(self) -> float:
        """Largest force on an atom with which a frame of a failed MD is learnt, in eV/Å.

        It is measured by the data that is tested: that of AIMD and of stable MD, and what was given.
        """
        known = [largest_forces(node.get_array('forces')).max() for node in self.ctx.datasets.values() if node.n_test]
        return float(self.settings.sampling.ladder.max_force_ratio * max(known)) if known else Limits().max_force

    def _submit_label(self, index: int, task: LabelTask, changes: Mapping[str, Any] | None = None) -> None:
        generation, name = self.ctx.generation, task.replica.system
        place: dict[str, Any] = {'temperature_k': task.replica.temperature_k, 'label': name}
        if task.workchain is ReplayWorkChain:
            # Frames on the way to a catastrophe teach, but an error on them would say nothing of any MD.
            place |= {'stop_at_failed_frame': True, 'dataset': {'fractions': TAUGHT, 'max_force': self._max_force()}}
        inputs = self._label_inputs(self.seed(LABEL, generation, index), task, place | dict(changes or {}))
        self.submit_part(self.call(LABEL, index), task.workchain, inputs, f'generation {generation}: labelling {name}')

    def _label_inputs(self, seed: orm.Int, task: LabelTask, own: Mapping[str, Any]) -> AttributeDict:
        """Fill a label at the level of theory of its system."""
        system = self.settings.system(task.replica.system)
        inputs = self.label_inputs(seed, task.inputs, own, system.fixed_atoms)
        if system.cp2k:
            inputs.cp2k.cp2k.parameters = orm.Dict(merge(inputs.cp2k.cp2k.parameters.get_dict(), system.cp2k))
        return inputs

    def merge_labelled_data(self) -> ExitCode | None:
        """Add the new frames to the data; labels that failed are reported and left out.

        :returns: an exit code where there is no frame to train on, or where nothing new was learnt of a catastrophe.
        """
        generation = self.ctx.generation
        new = 0
        calls = self.calls(LABEL)
        for call in calls[self.ctx.n_merged :]:
            node = self.part(call)
            if 'dataset' in node.outputs:
                self.ctx.datasets[call.key] = node.outputs.dataset
                new += node.outputs.dataset.n_frames
            system = node.inputs.parameters['label']
            if generation == 0 and system in self.ctx.start_structures and 'optimised_structure' in node.outputs:
                self.ctx.start_structures[system] = node.outputs.optimised_structure
        self.ctx.n_merged = len(calls)
        if new == 0 and generation > 0 and self._retreat():
            self.report(
                f'generation {generation}: no frame could be labelled, the MD was spoilt before t_next already: '
                f'retreat {self.ctx.retreats}, further back'
            )
            return None
        if new == 0 and (generation > 0 or not self.ctx.datasets):
            return self.end_with('ERROR_LABELLING_FAILED', self.ctx.cause)
        self.report(f'generation {generation}: {new} new frames')
        return None

    # --- verify ----------------------------------------------------------------------------------------------------

    def must_verify(self) -> bool:
        """Tell whether the MD was stable and the teacher is to say how right it was."""
        wanted = self.settings.verification
        return wanted.enabled and not self.ctx.catastrophes and (wanted.stages == 'every' or not self.is_not_stable())

    def label_stable_dynamics(self) -> None:
        """Label frames of the stable MD of every replica by single points."""
        generation, settings = self.ctx.generation, self.settings
        per_replica = max(1, round(settings.verification.n_frames / len(self.replicas)))
        for explored in self.ctx.last_md:
            node, replica = self.ctx[str(explored)], self.replicas[explored.number]
            grace = read_md_settings(node.inputs.md.parameters.get_dict()).grace(None)
            wanted = orm.Dict({'n_frames': per_replica, 'start_ps': grace})
            frames = select_verification_frames(node.outputs.trajectory, wanted)
            place = {
                'temperature_k': replica.temperature_k,
                'label': replica.system,
                'dataset': {'fractions': TAUGHT_AND_TESTED},
            }
            seed = self.seed(VERIFY, generation, explored.stage, explored.number)
            inputs = self._label_inputs(seed, LabelTask(ReplayWorkChain, replica, {'frames': frames}), place)
            what = f'generation {generation}: labelling the stable MD of {replica.system}'
            self.submit_part(replace(explored, kind=VERIFY), ReplayWorkChain, inputs, what)

    def find_true_error(self) -> ExitCode | None:
        """Compare the potential with its teacher along the stable MD; where it is too wrong, go on with these frames.

        :returns: an exit code where it was tried often enough.
        """
        generation, wanted = self.ctx.generation, self.settings.verification
        parts: dict[str, orm.Data] = {}
        calls = [replace(explored, kind=VERIFY) for explored in self.ctx.last_md]
        for call, explored in zip(calls, self.ctx.last_md, strict=True):
            node = self.part(call)
            parts[f'r{call.number}_frames'] = node.inputs.frames
            parts[f'r{call.number}_series'] = self.ctx[str(explored)].outputs.series
            if 'trajectory' in node.outputs:
                parts[f'r{call.number}_labels'] = node.outputs.trajectory
            if 'dataset' in node.outputs:
                self.ctx.datasets[call.key] = node.outputs.dataset
        call = Call(generation, VERDICT, stage=calls[0].stage)
        limit = orm.Dict({'force_rmse_max': wanted.force_rmse_max})
        judged = call_function(judge_stable_md, str(call), limit, **parts)
        self.ctx.record[str(call)] = judged['results']
        self.ctx.errors = judged['errors']
        verdict = Verification.model_validate(judged['results'].get_dict())
        self.ctx.verified = verdict.verified
        sentence = verification_lines(verdict)[0]
        self.report(f'generation {generation}: {sentence}')
        if verdict.verified:
            return None
        self.ctx.stage -= 1
        self.ctx.n_not_verified += 1
        learnt = any(call.key in self.ctx.datasets for call in calls)
        last = self.ctx.n_not_verified >= wanted.max_verifications or generation >= self.settings.max_generations
        if last or not learnt:
            return self.end_with('ERROR_NOT_VERIFIED', sentence)
        return None

    # --- go back ---------------------------------------------------------------------------------------------------

    def nothing_new_is_known(self) -> bool:
        """Tell whether nothing is labelled yet of the catastrophes that this generation begins with."""
        return bool(self.ctx.catastrophes) and not any(call.key in self.ctx.datasets for call in self.calls(LABEL))

    def _catastrophes(self) -> list[FailedMd]:
        """The catastrophes of the last MD from which something can still be taken."""
        found = []
        for call in self.ctx.catastrophes:
            replica = self.replicas[call.number]
            found.append(
                FailedMd(
                    self.ctx[str(call)],
                    replica,
                    self.settings.system(replica.system).fixed_atoms,
                    self.ctx.start_structures[replica.system],
                    self.label_settings.hot_sigmas,
                    self.ctx.retreats,
                    **self._ladder_of(call),
                )
            )
        return [point for point in found if not point.is_exhausted]

    def _retreat(self) -> bool:
        """Go one step further back, and tell whether an MD has something there."""
        self.ctx.retreats += 1
        return self.ctx.retreats <= self.settings.sampling.max_retreats and bool(self._catastrophes())

    def _ladder_of(self, explored: Call) -> dict[str, Any]:
        """The rungs of a failed MD and the number of the latest right one, where it has a ladder."""
        ladder = read_call(self.ctx.ladders.get(str(explored), ''))
        if ladder is None:
            return {}
        rungs = self.ctx[str(replace(ladder, kind=LABEL))].inputs.frames
        return {'rungs': rungs, 'right_rung': self.ctx.record[str(ladder)]['snapshot_index']}
