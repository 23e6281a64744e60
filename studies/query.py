"""How long the queries take in a large database.

Makes a profile of its own, imports the run of an archive, copies its graph until the database has the wanted number of
nodes (each copy with nodes and links of its own, nine of ten runs going on from the run before), and asks every
question of ``aiida-sis query``. Prints the rows, the processor time and the wall time of each.

    python studies/query.py                         # 100,000 nodes from the archive in examples/
    python studies/query.py --nodes 20000 ARCHIVE --keep FOLDER
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiida_sis.setup.profile import ensure_profile

EXAMPLE = Path(__file__).parent.parent / 'examples' / 'lifsi_ion_pair.aiida'
#: How many runs go on from each other in a row.
CHAIN = 10


def main() -> None:
    """Make the database, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('archive', nargs='?', type=Path, default=EXAMPLE)
    parser.add_argument('--nodes', type=int, default=100_000)
    parser.add_argument('--keep', type=Path, metavar='FOLDER', help='make the profile here and leave it there')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        ensure_profile(arguments.keep or Path(temporary))
        started = time.perf_counter()
        n_nodes, n_links, last = fill(arguments.archive, arguments.nodes)
        print(f'{n_nodes} nodes, {n_links} links, made in {time.perf_counter() - started:.0f} s')
        ask(last)


def fill(archive: Path, wanted: int) -> tuple[int, int, int]:
    """Import the archive and copy its graph.

    :param archive: an archive with one run.
    :param wanted: number of nodes that the database shall have.
    :returns: numbers of nodes and links, and the PK of the last run.
    """
    from aiida import orm
    from aiida.manage import get_manager
    from aiida.orm.entities import EntityTypes
    from aiida.tools.archive import import_archive

    import_archive(archive, create_group=False)
    nodes = [row['node'] for row in orm.QueryBuilder().append(orm.Node, tag='node', project='**').dict()]
    steps = orm.QueryBuilder().append(orm.Node, tag='a', project='id')
    steps = steps.append(orm.Node, with_incoming='a', project='id', edge_project=['label', 'type'])
    links = [tuple(row) for row in steps.all()]
    place = _places(nodes, links)
    backend = get_manager().get_profile_storage()
    repository = backend.get_repository()
    run, count, n_links = place['run'], len(nodes), len(links)
    previous = place['potential']
    copy = 0
    with backend.transaction():
        while count < wanted:
            rows = [{**node, 'uuid': str(uuid.uuid4())} for node in nodes]
            for row in rows:
                row.pop('id')
                row['repository_metadata'] = _own_clock(row['repository_metadata'], copy, repository)
            ids = dict(zip((node['id'] for node in nodes), backend.bulk_insert(EntityTypes.NODE, rows), strict=True))
            made = [(ids[a], ids[b], label, kind) for a, b, label, kind in links]
            if copy % CHAIN:
                made.append((previous, ids[place['first_training']], 'parent', 'input_calc'))
                made.append((previous, ids[run], 'potential', 'input_work'))
            keys = ('input_id', 'output_id', 'label', 'type')
            rows = [dict(zip(keys, link, strict=True)) for link in made]
            backend.bulk_insert(EntityTypes.LINK, rows, allow_defaults=True)
            previous, copy = ids[place['potential']], copy + 1
            count, n_links = count + len(nodes), n_links + len(made)
    return count, n_links, ids[run]


def _own_clock(content: dict[str, Any], copy: int, repository: Any) -> dict[str, Any]:
    """Give each copied job a file of its own with the clock, as real jobs have: all of them must be read."""
    name = '_scheduler-stdout.txt'
    if name not in content.get('o', {}):
        return content
    with repository.open(content['o'][name]['k']) as handle:
        text = handle.read() + f'copy {copy}\n'.encode()
    key = repository.put_object_from_filelike(io.BytesIO(text))
    return {'o': {**content['o'], name: {'k': key}}}


def _places(nodes: Sequence[dict[str, Any]], links: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    """Find the run, its last potential and its first training job."""
    from aiida_sis.run.graph import SIS, TRAIN_JOB

    run = next(node['id'] for node in nodes if node['process_type'] == SIS)
    potential = next(b for a, b, label, kind in links if a == run and label == 'potential' and kind == 'return')
    training = min(node['id'] for node in nodes if node['process_type'] == TRAIN_JOB)
    return {'run': run, 'potential': potential, 'first_training': training}


def ask(run: int) -> None:
    """Ask every question and print what it took.

    :param run: PK of the run that the questions about one run are asked of.
    """
    from aiida import orm

    from aiida_sis import run as query
    from aiida_sis.run.origins import datasets_of

    node = orm.load_node(run)
    potential, structure = node.outputs.potential.pk, next(iter(node.inputs.systems.values())).pk
    questions: dict[str, Callable[[], Sequence[Any]]] = {
        'runs': query.runs,
        'frames of one model': lambda: query.training_frames(potential),
        'origin of the datasets of one run': lambda: query.origins(datasets_of(run)),
        'catastrophes of all runs': query.catastrophes,
        'catastrophes of one run': lambda: query.catastrophes([run]),
        'models below 0.09 eV/Å': lambda: query.models(0.09),
        'models of one run': lambda: query.models(selected=[run]),
        'uses of one structure': lambda: query.uses_of(structure),
        'uses of equal structures': lambda: query.uses_of(structure, equal=True),
        'cost of all runs': query.costs,
        'cost of all generations': lambda: query.costs(by_generation=True),
        'cost of one run': lambda: query.costs([run]),
    }
    print(f'{"question":<36}{"rows":>7}{"CPU, s":>9}{"wall, s":>9}')
    for name, question in questions.items():
        cpu, wall = time.process_time(), time.perf_counter()
        rows = question()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(f'{name:<36}{len(rows):>7}{cpu:>9.2f}{wall:>9.2f}')


if __name__ == '__main__':
    main()
