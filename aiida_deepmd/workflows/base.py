"""Train one potential, and do not let go before its held-out error allows an MD worth running."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from aiida import engine, orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ProcessHandlerReport, process_handler

from aiida_deepmd.calculations.train import DeepmdTrainCalculation
from aiida_deepmd.files.machine import full_disk
from aiida_deepmd.workflows.repeating import MACHINE_FAULTS, RepeatingWorkChain

#: So often the rate of a training whose loss became NaN is halved.
MOST_HALVINGS = 4
_CODES: Any = DeepmdTrainCalculation.exit_codes
while_: Any = engine.while_  # its type only takes the methods of `WorkChain` itself as steps


class DeepmdBaseWorkChain(RepeatingWorkChain):
    """Run `deepmd.train` until the force error on held-out frames is low enough, with a cap.

    An undertrained potential fails everywhere, and where it fails says nothing about missing data. So a training whose
    held-out force RMSE is above ``force_rmse_max`` is continued from its own weights: not by the end of its schedule,
    at which nothing is learnt, but by a whole one that starts at half the rate. Where the error has stopped falling it
    is data that lack, and no more training is paid for.
    """

    _process_class = DeepmdTrainCalculation

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the ports, the outline and the exit codes.

        :param spec: the process specification.
        """
        super().define(spec)
        spec.expose_inputs(DeepmdTrainCalculation, namespace='train')
        spec.input(
            'force_rmse_max',
            valid_type=orm.Float,
            required=False,
            serializer=orm.to_aiida_type,
            help='Held-out force RMSE, in eV/Å, above which a training is continued (above some 0.15 no MD lasts).',
        )
        spec.input(
            'max_extensions',
            valid_type=orm.Int,
            default=lambda: orm.Int(2),
            serializer=orm.to_aiida_type,
            help='How many times a training may be continued to reach `force_rmse_max`; then the best is taken.',
        )
        spec.input(
            'min_improvement',
            valid_type=orm.Float,
            default=lambda: orm.Float(0.1),
            serializer=orm.to_aiida_type,
            validator=_validate_share,
            help='Share by which a continuation must lower the held-out force RMSE for another one to follow.',
        )
        spec.expose_outputs(DeepmdTrainCalculation)
        spec.outline(cls.setup, while_(cls.should_run_process)(cls.run_process, cls.inspect_process), cls.results)

    def setup(self) -> None:
        """Set the counters and the inputs of the first training."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(DeepmdTrainCalculation, 'train'))
        self.ctx.extensions = 0
        self.ctx.best = None
        self.ctx.parent = self.ctx.inputs.get('parent')
        self.ctx.checkpoint_step = 0
        self.ctx.halvings = 0

    @process_handler(priority=500, exit_codes=ExitCode(0))
    def extend_undertrained(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue a training whose held-out force error is above the limit, from its own weights.

        :param calculation: the finished training.
        :returns: a report that restarts it, or nothing where the error is low enough or the cap is reached.
        """
        error = _force_rmse(calculation)
        before = None if self.ctx.best is None else _force_rmse(self.ctx.best)
        if error is not None and (before is None or error < before):
            self.ctx.best = calculation
        if 'force_rmse_max' not in self.inputs or error is None or error <= self.inputs.force_rmse_max.value:
            return None
        above = f'force RMSE {error:.3f} eV/Å on held-out frames is above {self.inputs.force_rmse_max.value:.3f}'
        if self.ctx.extensions >= self.inputs.max_extensions.value:
            self.report(f'{above} after {self.ctx.extensions} continuation(s): the best potential is taken')
            return None
        least = self.inputs.min_improvement.value
        if before is not None and error > (1 - least) * before:
            self.report(
                f'{above}, and the last continuation lowered it by less than {least:.0%} (from {before:.3f}): '
                'more training does not help, the best potential is taken'
            )
            return None
        self.ctx.extensions += 1
        self.ctx.parent = calculation.outputs.potential
        self._start_from_the_parent()
        if 'settings' in self.ctx.inputs:
            own = self.ctx.inputs.settings.get_dict()
            self.ctx.inputs.settings = orm.Dict(own | {'start': 'continue', 'model_branch': None}).store()
        self._halve_the_rate()
        self.report(f'{above}: the training is continued by a whole schedule, from half the start learning rate')
        return ProcessHandlerReport(True)

    @process_handler(priority=400, exit_codes=[DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FINITE])
    def lower_learning_rate(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Try a training whose loss became NaN again with half the start learning rate.

        :param calculation: the failed training.
        :returns: a report that restarts it, or nothing where the rate was halved often enough.
        """
        if self.ctx.halvings >= MOST_HALVINGS:
            return None
        self.ctx.halvings += 1
        self._start_from_the_parent()
        self._halve_the_rate()
        self.report(f'the loss of {calculation.pk} became NaN: trying again with half the start learning rate')
        return ProcessHandlerReport(True)

    @process_handler(
        priority=300,
        exit_codes=[
            _CODES.ERROR_TRAINING_INTERRUPTED,
            _CODES.ERROR_NOT_EVALUATED,
            _CODES.ERROR_NO_TRAIN_OUTPUT,
            _CODES.ERROR_DISK_FULL,
            *MACHINE_FAULTS,
        ],
    )
    def restart_interrupted(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from what a training left that the machine ended (a kill, its time, a node that failed, a full disk).

        From its last checkpoint, or the one that it started from itself, or from the start where there is none. Where
        the training was complete, its model alone is made and tested.

        :param calculation: the training that was cut short.
        :returns: a report that restarts it, or ends where jobs in a row got no further.
        """
        inputs = self.ctx.inputs
        results = calculation.outputs.results.get_dict() if 'results' in calculation.outputs else {}
        step, evaluated = results.get('checkpoint_step'), 'only_evaluate' in inputs
        is_complete = calculation.exit_status == _CODES.ERROR_NOT_EVALUATED.status
        progressed = not evaluated and (is_complete or (step is not None and step > self.ctx.checkpoint_step))
        how = 'it is run once more'
        if progressed:
            inputs.pop('parent', None)
            inputs.restart_folder = calculation.outputs.remote_folder
            self.ctx.checkpoint_step = step or 0
            how = f'going on from the checkpoint of step {step}'
        if is_complete:
            inputs.only_evaluate = orm.Bool(True)
            how = 'its model alone is made and tested'
        disk_full = full_disk(calculation.exit_message or '') is not None
        return self.repeat(calculation, how, progressed=progressed, disk_full=disk_full)

    @process_handler(priority=200, exit_codes=[_CODES.ERROR_TRAINING_FAILED])
    def leave_a_spoilt_checkpoint(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Train from the start where DeePMD-kit fails at the checkpoint of a job that was killed.

        :param calculation: the training that failed.
        :returns: a report that restarts it, or nothing where it did not start from such a checkpoint.
        """
        if self.ctx.checkpoint_step == 0 or 'restart_folder' not in self.ctx.inputs:
            return None
        self._start_from_the_parent()
        return self.repeat(calculation, 'trained from the start, without that checkpoint', progressed=False)

    def _start_from_the_parent(self) -> None:
        """Forget the checkpoint of a job that was cut short."""
        for name in ('restart_folder', 'only_evaluate'):
            self.ctx.inputs.pop(name, None)
        self.ctx.checkpoint_step = 0
        if self.ctx.parent is not None:
            self.ctx.inputs.parent = self.ctx.parent

    def inspect_process(self) -> ExitCode | None:
        """Inspect the training; where a continuation failed, go on with the best potential there is.

        :returns: an exit code where no training gave a potential.
        """
        exit_code: ExitCode | None = super().inspect_process()
        if exit_code is not None and exit_code.status and self.ctx.best is not None:
            self.report(f'the continuation failed ({exit_code.message}): going on with {self.ctx.best.pk}')
            self.ctx.is_finished = True
            return None
        return exit_code

    def get_outputs(self, node: orm.CalcJobNode) -> Mapping[str, orm.Node]:
        """Give the outputs of the best training, which is the only one where nothing was continued.

        :param node: the last training.
        :returns: the outputs of this workchain.
        """
        outputs: Mapping[str, orm.Node] = super().get_outputs(self.ctx.best or node)
        return outputs

    def _halve_the_rate(self) -> None:
        """Let the next training start at half the rate of the last one; the rest of the schedule is the same."""
        parameters: dict[str, Any] = copy.deepcopy(self.ctx.inputs.parameters.get_dict())
        rate = parameters['learning_rate']
        rate['start_lr'] = max(rate['start_lr'] / 2, rate.get('stop_lr') or 0.0)
        self.ctx.inputs.parameters = orm.Dict(parameters).store()


def _validate_share(node: orm.Float, _: Any) -> str | None:
    """Refuse what is no share."""
    if 0 <= node.value < 1:
        return None
    return f'`min_improvement` is {node.value:g}; give a share of the error, at least 0 and below 1 (0.1 for 10 %).'


def _force_rmse(calculation: orm.CalcJobNode) -> float | None:
    error: float | None = calculation.outputs.results['force_rmse_ev_per_angstrom']
    return error
