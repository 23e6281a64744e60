"""The summary of a SIS run, as a node that is linked to every result it was made from."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_sis.core.loop.summary import make_summary


@calcfunction
def summarise(
    outcome: orm.Str, parameters: orm.Dict, stages_passed: orm.Int, systems: orm.List, **results: orm.Dict
) -> orm.Dict:
    """Summarise a SIS run from the results of its labels, trainings and MD runs.

    :param outcome: how the run ended, for example ``stable``.
    :param parameters: the settings of the run.
    :param stages_passed: how many stages every replica survived.
    :param systems: the system that each replica explores, by the number of the replica.
    :param results: the results, under the link labels of the workchains that gave them.
    :returns: the summary, see :func:`aiida_sis.core.loop.summary.make_summary`.
    """
    summary = make_summary(
        outcome.value,
        parameters.get_dict(),
        {key: node.get_dict() for key, node in results.items()},
        stages_passed=stages_passed.value,
        systems=systems.get_list(),
    )
    return orm.Dict(summary)
