"""Print the bytes that each generation of a run added to AiiDA's repository.

Files are stored once for each content, so a file counts in the generation that brought it first. Use:
`AIIDA_PATH=$PWD/.sis .venv/bin/verdi run studies/storage.py PK`.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections import defaultdict

from aiida import orm

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.run.record import called


def files_of(node: orm.Node) -> dict[str, int]:
    """Give the size of each file of a node by its digest.

    :param node: any node.
    :returns: sizes in bytes.
    """
    sizes = {}
    for folder, _, names in node.base.repository.walk():
        for name in names:
            content = node.base.repository.get_object_content(str(folder / name), 'rb')
            sizes[hashlib.sha256(content).hexdigest()] = len(content)
    return sizes


def kind_of(node: orm.Node) -> str:
    """Give the column that a node counts in.

    :param node: any node.
    :returns: the kind.
    """
    if isinstance(node, DatasetData):
        return 'datasets'
    if isinstance(node, PotentialData):
        return 'potential'
    return 'CP2K files and trajectories' if isinstance(node, orm.TrajectoryData | orm.FolderData) else 'rest'


def main() -> None:
    """Print a row for each generation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('pk', type=int)
    run = orm.load_node(parser.parse_args().pk)
    seen: set[str] = set()
    table: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    frames: dict[int, int] = defaultdict(int)
    for child, label in called(run):
        match = re.search(r'_g(\d+)', label)
        if match is None:
            continue
        generation = int(match.group(1))
        nodes: list[orm.Node] = [child, *child.called_descendants]
        nodes += [node for process in list(nodes) for node in process.base.links.get_outgoing().all_nodes()]
        for node in {node.uuid: node for node in nodes}.values():
            new = {key: size for key, size in files_of(node).items() if key not in seen}
            seen |= set(new)
            table[generation][kind_of(node)] += sum(new.values())
            if isinstance(node, DatasetData) and new:
                frames[generation] += node.n_frames
    kinds = ['datasets', 'potential', 'CP2K files and trajectories', 'rest']
    print('| generation | new frames | ' + ' | '.join(f'{kind}, kB' for kind in kinds) + ' |')
    print('|---' * (len(kinds) + 2) + '|')
    for generation, row in sorted(table.items()):
        print(
            f'| {generation} | {frames[generation]} | ' + ' | '.join(f'{row[kind] / 1e3:.0f}' for kind in kinds) + ' |'
        )


if __name__ == '__main__':
    main()
