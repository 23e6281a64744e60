"""Nodes that stand for what a loop's children are and give, with no process behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType
from ase import Atoms
from plumpy.process_states import ProcessState

from aiida_deepmd.data.dataset import DatasetData


class Children:
    """Stand-ins for submitted workchains: they end at once, as each test wants them to."""

    def __init__(self) -> None:
        """Start without any."""
        self.inputs: dict[str, Any] = {}

    def submit(self, _process: Any, **inputs: Any) -> orm.WorkChainNode:
        """Take the inputs instead of submitting."""
        self.inputs[inputs['metadata']['call_link_label']] = inputs
        return orm.WorkChainNode().store()


def ended(
    outputs: Mapping[str, orm.Data],
    exit_status: int = 0,
    label: str = 'ion_pair',
    retrieved: orm.FolderData | None = None,
    message: str | None = None,
    inputs: Mapping[str, orm.Data] | None = None,
) -> orm.WorkChainNode:
    """Give the node of a workchain that has ended.

    :param label: the system, by its parameters.
    :param retrieved: the files of a job that it called.
    :param message: what its exit code says.
    :param inputs: what it was given beside its parameters, by the labels of the links.
    """
    node = orm.WorkChainNode()
    parameters = orm.Dict({'label': label, 'timestep_fs': 2.0}).store()
    node.base.links.add_incoming(parameters, LinkType.INPUT_WORK, 'parameters')
    for name, value in (inputs or {}).items():
        node.base.links.add_incoming(value.store(), LinkType.INPUT_WORK, name)
    node.set_process_state(ProcessState.FINISHED)
    node.set_exit_status(exit_status)
    if message is not None:
        node.set_exit_message(message)
    node.store()
    if retrieved is not None:
        job = orm.CalcJobNode(computer=orm.load_computer('localhost'))
        job.set_option('resources', {'num_machines': 1})
        job.base.links.add_incoming(node, LinkType.CALL_CALC, 'cp2k')
        job.store()
        retrieved.base.links.add_incoming(job, LinkType.CREATE, 'retrieved')
        retrieved.store()
    for name, value in outputs.items():
        value.store().base.links.add_incoming(node, LinkType.RETURN, name)
    return node


def labelled_frames(atoms: Atoms, type_map: Sequence[str], label: str = '') -> DatasetData:
    """Give ten labelled frames of one structure, all alike but for noise."""
    n_frames, rng = 10, np.random.default_rng(0)
    return DatasetData(
        coords=atoms.positions + 0.01 * rng.normal(size=(n_frames, len(atoms), 3)),
        cells=np.tile(np.asarray(atoms.cell), (n_frames, 1, 1)),
        energies=rng.normal(size=n_frames),
        forces=rng.normal(size=(n_frames, len(atoms), 3)),
        atom_types=[type_map.index(symbol) for symbol in atoms.get_chemical_symbols()],
        type_map=type_map,
        split=np.arange(n_frames) % 3,
        label=label,
    )
