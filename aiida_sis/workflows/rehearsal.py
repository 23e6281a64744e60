"""The rehearsal: the whole loop where the truth is known everywhere, and the proof that stable means right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, WorkChain

from aiida_sis.calculations.rehearsal import compare_forces, compare_structure, merge_results
from aiida_sis.calculations.trajectories import select_snapshot
from aiida_sis.core.loop.call_labels import LOOP, TEACHER_MD, evaluation_of
from aiida_sis.core.loop.seeds import derive_seed
from aiida_sis.core.settings.base import refusal
from aiida_sis.core.settings.rehearsal import ComparisonSettings, read_comparison_settings
from aiida_sis.core.settings.sis import plan_replicas, read_settings
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.replay import ReplayWorkChain
from aiida_sis.workflows.sis import SisWorkChain

_VERIFY = 4


def validate_comparison(node: orm.Dict | None, _context: object) -> str | None:
    """Check how the MD is compared, hours before it is.

    :param node: the input.
    :param _context: the port, unused.
    :returns: one sentence, or nothing.
    """
    return refusal(read_comparison_settings, node.get_dict() if node is not None else {})


class RehearsalWorkChain(WorkChain):
    """Run SIS with a teacher that can be evaluated anywhere, then compare the stable MD with the teacher.

    The frames of the last stage are labelled, which gives the true force error along the whole MD, and the teacher runs
    an MD of its own, which gives the radial distribution functions that are right.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports, the outline and the exit codes.

        :param spec: the process specification.
        """
        super().define(spec)
        spec.expose_inputs(SisWorkChain, namespace='sis')
        spec.input(
            'comparison',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Dict(ComparisonSettings().model_dump()),
            validator=validate_comparison,
            help='The fields of `core.settings.rehearsal.ComparisonSettings`.',
        )
        spec.expose_outputs(SisWorkChain, namespace='sis')
        spec.output('results', valid_type=orm.Dict, help='Force error along the MD (eV/Å), RDF difference by pair.')
        spec.output('rdf', valid_type=orm.ArrayData, required=False, help='r (Å) and g(r) by pair, (n_bins,).')
        spec.output_namespace('errors', valid_type=orm.ArrayData, dynamic=True, help='Force error along each MD.')
        spec.exit_code(401, 'ERROR_SIS_FAILED', message='The loop gave no MD to compare: {problem}')
        spec.exit_code(402, 'ERROR_COMPARISON_FAILED', message='The teacher could not label the MD: {problem}')
        spec.exit_code(410, 'ERROR_NOT_STABLE', message='The MD did not become stable: {problem}')
        spec.outline(
            cls.run_sis,
            cls.inspect_sis,
            cls.evaluate_with_teacher,
            cls.compare,
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode | str],
        systems: Mapping[str, orm.StructureData],
        protocol: str = 'rehearsal',
        overrides: Mapping[str, Any] | None = None,
        **given: Any,
    ) -> Any:
        """Give a builder that is filled by a protocol.

        :param codes: the codes or their labels under the keys ``cp2k``, ``dp`` and ``lmp``.
        :param systems: the start structures, by name.
        :param protocol: name of the protocol.
        :param overrides: changes to it.
        :param given: everything else that :meth:`SisWorkChain.get_builder_from_protocol` takes.
        :returns: a builder, ready to be submitted.
        :raises ValueError: in one sentence, as there.
        """
        filled = SisWorkChain.get_builder_from_protocol(codes, systems, protocol, overrides, **given)
        builder = cls.get_builder()
        try:
            builder.sis = dict(filled)
        except ValueError as error:
            raise ValueError(str(error).removeprefix('invalid attribute value ')) from error
        return builder

    def run_sis(self) -> None:
        """Run the loop."""
        inputs = AttributeDict(self.exposed_inputs(SisWorkChain, 'sis'))
        self._submit(LOOP, SisWorkChain, inputs)

    def inspect_sis(self) -> ExitCode | None:
        """Take what the loop gave.

        :returns: an exit code where there is no MD to compare.
        """
        node = self.ctx[LOOP]
        self.out_many(self.exposed_outputs(node, SisWorkChain, namespace='sis'))
        if 'trajectories' not in node.outputs:
            return self._exit('ERROR_SIS_FAILED', node.exit_message or node.process_state)
        return None

    def evaluate_with_teacher(self) -> None:
        """Label every frame of the last MD runs, and let the teacher go on from the last frame by itself."""
        run, wanted = self.inputs.sis, read_comparison_settings(self.inputs.comparison.get_dict())
        seed = run.seed.value
        for index, (key, trajectory) in enumerate(sorted(self.ctx[LOOP].outputs.trajectories.items())):
            inputs = self._label_inputs(index, {})
            inputs.frames = trajectory
            self._submit(evaluation_of(key), ReplayWorkChain, inputs)
        start = select_snapshot(trajectory, orm.Int(-1))
        length = 1000 * wanted.teacher_length_ps
        inputs = self._label_inputs(index, {'length_fs': length, 'dataset': {'max_frames': 100}})
        inputs.update(structure=start['structure'], velocities=start['velocities'])
        inputs.seed = orm.Int(derive_seed(seed, _VERIFY, 999))
        self._submit(TEACHER_MD, LabelWorkChain, inputs)

    def _submit(self, label: str, process: type[WorkChain], inputs: AttributeDict) -> None:
        inputs.metadata = {'call_link_label': label}
        self.to_context(**{label: self.submit(process, **inputs)})

    def _label_inputs(self, index: int, changes: Mapping[str, Any]) -> AttributeDict:
        """The level of theory and the temperature of the run, for one label."""
        run = self.inputs.sis
        settings = read_settings(run.parameters.get_dict())
        replica = plan_replicas(settings, list(run.systems))[index]
        place = {'temperature_k': replica.temperature_k, 'label': replica.system}
        inputs = AttributeDict({'cp2k': run.label.cp2k, 'type_map': run.type_map})
        inputs.seed = orm.Int(derive_seed(run.seed.value, _VERIFY, index))
        inputs.parameters = orm.Dict(run.label.parameters.get_dict() | place | dict(changes))
        return inputs

    def compare(self) -> ExitCode | None:
        """Put the potential beside its teacher.

        :returns: an exit code where the teacher failed, or where the MD was not stable.
        """
        runs = {key: self.ctx[evaluation_of(key)] for key in self.ctx[LOOP].outputs.trajectories}
        failed = [node for node in (*runs.values(), self.ctx[TEACHER_MD]) if 'trajectory' not in node.outputs]
        if failed:
            return self._exit('ERROR_COMPARISON_FAILED', failed[0].exit_message)
        forces: dict[str, Any] = {}
        errors: dict[str, orm.Data] = {}
        for key, node in runs.items():
            compared = compare_forces(self.ctx[LOOP].outputs.trajectories[key], node.outputs.trajectory)
            errors[key], forces[key] = compared['errors'], compared['results']
        wanted = read_comparison_settings(self.inputs.comparison.get_dict()).rdf.model_dump()
        trajectories: Any = dict(self.ctx[LOOP].outputs.trajectories.items())
        structure = compare_structure(orm.Dict(wanted), self.ctx[TEACHER_MD].outputs.trajectory, **trajectories)
        self.out('errors', errors)
        self.out('rdf', structure['rdf'])
        self.out('results', merge_results(structure['results'], self.ctx[LOOP].outputs.summary, **forces))
        if not self.ctx[LOOP].is_finished_ok:
            return self._exit('ERROR_NOT_STABLE', self.ctx[LOOP].exit_message)
        return None

    def _exit(self, label: str, problem: Any) -> ExitCode:
        code: ExitCode = self.exit_codes[label].format(problem=problem)
        return code
