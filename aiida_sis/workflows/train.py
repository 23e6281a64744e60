"""Train one potential, and do not let go before its held-out error allows an MD worth running."""

from __future__ import annotations

import copy

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessHandlerReport, process_handler, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_sis.calculations.train import DeepmdTrainCalculation


class TrainWorkChain(BaseRestartWorkChain):
    """Run `sis.deepmd.train` until the force error on held-out frames is low enough, with a cap.

    An undertrained potential fails everywhere, and no sampling can help it: its catastrophic points say nothing about
    missing data. So a training whose held-out force RMSE is above ``force_rmse_max`` is continued from its own weights
    before its MD is run.
    """

    _process_class = DeepmdTrainCalculation

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:  # type: ignore[override]
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
            help='Held-out force RMSE, in eV/Å, above which a training is continued (about 0.15 can be stable at all).',
        )
        spec.input(
            'max_extensions',
            valid_type=orm.Int,
            default=lambda: orm.Int(2),
            serializer=orm.to_aiida_type,
            help='How many times a training may be continued to reach `force_rmse_max`; then the best is taken.',
        )
        spec.expose_outputs(DeepmdTrainCalculation)
        spec.outline(cls.setup, while_(cls.should_run_process)(cls.run_process, cls.inspect_process), cls.results)

    def setup(self) -> None:
        """Set the counters and the inputs of the first training."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(DeepmdTrainCalculation, 'train'))
        self.ctx.extensions = 0

    @process_handler(priority=500, exit_codes=ExitCode(0))
    def extend_undertrained(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue a training whose held-out force error is above the limit, from its own weights.

        :param calculation: the finished training.
        :returns: a report that restarts it, or nothing where the error is low enough or the cap is reached.
        """
        if 'force_rmse_max' not in self.inputs:
            return None
        error = calculation.outputs.results['force_rmse_ev_per_angstrom']
        limit = self.inputs.force_rmse_max.value
        if error is None or error <= limit:
            return None
        if self.ctx.extensions >= self.inputs.max_extensions.value:
            self.report(
                f'force RMSE {error:.3f} eV/Å on held-out frames is still above {limit:.3f} after {self.ctx.extensions} '
                f'continuation(s): going on with this potential, which is short of training rather than of data'
            )
            return None
        self.ctx.extensions += 1
        self.ctx.inputs.parent = calculation.outputs.potential
        self.ctx.inputs.parameters = orm.Dict(self._continued(halve=True))
        self.report(f'force RMSE {error:.3f} eV/Å on held-out frames is above {limit:.3f}: the training is continued')
        return ProcessHandlerReport(True)

    @process_handler(priority=400, exit_codes=[DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FINITE])
    def lower_learning_rate(self, calculation: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Try a training whose loss became NaN again with half the start learning rate.

        :param calculation: the failed training.
        :returns: a report that restarts it; the cap is `max_iterations`.
        """
        self.ctx.inputs.parameters = orm.Dict(self._continued(halve=True))
        self.report(f'the loss of {calculation.pk} became NaN: trying again with half the start learning rate')
        return ProcessHandlerReport(True)

    def _continued(self, halve: bool) -> dict[str, object]:
        parameters: dict[str, object] = copy.deepcopy(self.ctx.inputs.parameters.get_dict())
        rate = parameters['learning_rate']
        if halve and isinstance(rate, dict):
            rate['start_lr'] = max(rate['start_lr'] / 2, rate['stop_lr'])
        return parameters
