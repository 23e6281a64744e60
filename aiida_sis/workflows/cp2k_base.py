"""CP2K's restarts as a label needs them."""

from __future__ import annotations

from aiida_cp2k.workchains import Cp2kBaseWorkChain


class SingleTrajectoryWorkChain(Cp2kBaseWorkChain):
    """Run CP2K as `Cp2kBaseWorkChain` does, without a merged copy of a trajectory that one job made alone.

    The merge costs a process and a second node for every label, and nothing is merged where there is one job.
    """

    def results(self) -> None:
        """Attach the outputs of the last job, and merge trajectories only where there are several."""
        if len(self.ctx.children) == 1:
            super(Cp2kBaseWorkChain, self).results()
        else:
            super().results()
