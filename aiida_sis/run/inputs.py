"""Versions, inputs and seeds of a run: what somebody else needs to do it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiida import orm
from ase import Atoms

from aiida_sis.core.loop.call_labels import read_call
from aiida_sis.run.loops import system_of
from aiida_sis.run.record import INPUT_LINKS, called, input_of, results_of

__all__ = ('Facts', 'InputNode', 'formula_of', 'read_facts')


@dataclass(frozen=True)
class InputNode:
    """One input of the run: its port, PK, kind and what it holds in a line; ``content`` where it is a dictionary."""

    port: str
    pk: int
    kind: str
    text: str
    content: dict[str, Any] | None = None


@dataclass(frozen=True)
class Facts:
    """What a run was made with.

    :param uuid: of the run.
    :param label: given by its user, or empty.
    :param versions: name -> version, as far as the graph says.
    :param systems: name -> formula and cell in words.
    :param inputs: the inputs of the workchain.
    :param seed: of the run.
    :param seeds: of every part, by its call link.
    """

    uuid: str
    label: str
    versions: dict[str, str]
    systems: dict[str, str]
    inputs: tuple[InputNode, ...]
    seed: int | None
    seeds: dict[str, int]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the loop."""
        return next((node.content or {} for node in self.inputs if node.port == 'parameters'), {})


def formula_of(atoms: Atoms) -> str:
    """Write the Hill formula of a structure as it is printed.

    :param atoms: the structure.
    """
    return str(atoms.get_chemical_formula('hill')).translate(str.maketrans('0123456789', '₀₁₂₃₄₅₆₇₈₉'))


def read_facts(node: orm.ProcessNode) -> Facts:
    """Read versions, inputs and seeds of a run.

    :param node: the node of a ``SisWorkChain``.
    """
    links = node.base.links.get_incoming(link_type=INPUT_LINKS).all()
    inputs = sorted((_input(link.link_label, link.node) for link in links), key=lambda item: item.port)
    seed = input_of(node, 'seed')
    systems = {
        (system_of(link.link_label) or link.link_label).replace('__', ' '): _describe(link.node)
        for link in sorted(links, key=lambda link: link.link_label)
        if isinstance(link.node, orm.StructureData)
    }
    return Facts(
        uuid=str(node.uuid),
        label=node.label or '',
        versions=dict(_versions(node, links)),
        systems=systems,
        inputs=tuple(inputs),
        seed=seed.value if isinstance(seed, orm.Int) else None,
        seeds={label: value for child, label in called(node) for value in _seed(child)},
    )


def _versions(node: orm.ProcessNode, links: list[Any]) -> Iterator[tuple[str, str]]:
    own = node.base.attributes.get('version', None) or {}
    for name, key in (('aiida-core', 'core'), ('aiida-sis', 'plugin')):
        if own.get(key):
            yield name, str(own[key])
    for link in links:
        if isinstance(link.node, orm.AbstractCode):
            yield f'code {link.node.full_label}', link.node.description or str(link.node.default_calc_job_plugin)
    seen: set[str] = set()
    for child, label in called(node):
        values = results_of(child) if read_call(label) is not None else {}
        for name, key in (('DeePMD-kit', 'deepmd_version'), ('LAMMPS', 'lammps_version')):
            if name not in seen and values.get(key):
                seen.add(name)
                yield name, str(values[key])


def _seed(child: orm.ProcessNode) -> Iterator[int]:
    found = input_of(child, 'seed')
    if isinstance(found, orm.Int):
        yield int(found.value)


def _describe(structure: orm.StructureData) -> str:
    atoms = structure.get_ase()
    lengths = ' × '.join(f'{length:.4g}' for length in atoms.cell.lengths())
    return f'{formula_of(atoms)}, {len(atoms)} atoms, cell {lengths} Å (node {structure.pk})'


def _input(port: str, node: orm.Node) -> InputNode:
    pk, kind = int(node.pk or 0), type(node).__name__
    name = port.replace('__', '.')
    if isinstance(node, orm.Dict):
        content = node.get_dict()
        return InputNode(name, pk, kind, f'{len(content)} entries', content)
    if isinstance(node, orm.List):
        return InputNode(name, pk, kind, ', '.join(map(str, node.get_list())))
    if isinstance(node, orm.AbstractCode):
        return InputNode(name, pk, kind, node.full_label)
    if isinstance(node, orm.StructureData):
        return InputNode(name, pk, kind, _describe(node))
    value = getattr(node, 'value', None)
    return InputNode(name, pk, kind, node.label if value is None else str(value))
