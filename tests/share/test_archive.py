"""Archives: what they hold, what may be left out, and what is read from them elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_sis.share.archive import LEFT_OUT, plan_export, write_export
from aiida_sis.share.importing import import_run

RUN = 'd9afb901-9948-4029-a687-394b1353eab3'


def nodes_and_links() -> tuple[set[str], set[tuple[str, str, str, str]]]:
    """UUIDs of all nodes, and all links by UUID."""
    nodes = set(orm.QueryBuilder().append(orm.Node, project='uuid').all(flat=True))
    builder = orm.QueryBuilder().append(orm.Node, tag='a', project='uuid')
    builder.append(orm.Node, with_incoming='a', project='uuid', edge_project=['type', 'label'])
    return nodes, {tuple(row) for row in builder.all()}


def files(node: orm.Node) -> set[str]:
    """Names of the files of a node."""
    return set(node.base.repository.list_object_names())


def later_run(example_run: orm.WorkChainNode) -> orm.WorkChainNode:
    """A run, not yet sealed, that was given a dataset of the example."""
    run = orm.WorkChainNode(process_type='aiida.workflows:sis.sis')
    run.base.links.add_incoming(example_run.outputs.datasets['g1_0'], LinkType.INPUT_WORK, 'datasets__given')
    return run.store()


def test_plan_is_what_is_written(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """The numbers that are printed before are those of the archive; its size is met within a tenth."""
    path = tmp_path / 'a.aiida'
    plan = plan_export(example_run)
    nodes, links = nodes_and_links()
    assert (plan.n_nodes, plan.n_links) == (len(nodes), len(links))
    assert plan.left_out_bytes == plan.n_stripped == len(plan.dropped) == 0
    write_export(plan, path)
    assert plan.archive_bytes == pytest.approx(path.stat().st_size, rel=0.1)
    with pytest.raises(FileExistsError):
        write_export(plan, path)
    write_export(plan, path, overwrite=True)


def test_everything_comes_back(example_run: orm.WorkChainNode, aiida_profile: Any, tmp_path: Path) -> None:
    """Nodes, links, attributes and files are the same after an export and an import."""

    def content() -> dict[str, Any]:
        columns = ['uuid', 'ctime', 'mtime', 'label', 'attributes', 'repository_metadata']
        return {row[0]: row[1:] for row in orm.QueryBuilder().append(orm.Node, project=columns).all()}

    before, graph = content(), nodes_and_links()
    write_export(plan_export(example_run), tmp_path / 'a.aiida')
    aiida_profile.reset_storage()
    imported = import_run(tmp_path / 'a.aiida')
    assert (imported.n_nodes, imported.n_new) == (len(before), len(before))
    assert content() == before
    assert nodes_and_links() == graph
    again = import_run(tmp_path / 'a.aiida')
    assert (again.n_new, again.runs) == (0, imported.runs)


def test_without_trajectories(example_run: orm.WorkChainNode, aiida_profile: Any, tmp_path: Path) -> None:
    """Arrays of trajectories and CP2K's raw frames are gone and named; graph, datasets and models are whole."""
    graph, n_frames = nodes_and_links(), example_run.outputs.trajectories['r0'].numsteps
    plan = plan_export(example_run, without_trajectories=True)
    write_export(plan, tmp_path / 'small.aiida')
    assert plan.archive_bytes == pytest.approx((tmp_path / 'small.aiida').stat().st_size, rel=0.1)
    aiida_profile.reset_storage()
    (found,) = import_run(tmp_path / 'small.aiida').runs
    run = orm.load_node(found.pk)
    assert nodes_and_links() == graph
    trajectory = run.outputs.trajectories['r0']
    assert files(trajectory) == set()
    assert 'positions.npy' in trajectory.base.extras.get(LEFT_OUT)
    assert trajectory.numsteps == n_frames
    with pytest.raises(KeyError):
        trajectory.get_positions()
    retrieved = orm.QueryBuilder().append(orm.CalcJobNode, filters={'process_type': 'aiida.calculations:cp2k'})
    for (job,) in retrieved.all():
        assert {'aiida.out', 'aiida-1.ener', '_scheduler-stdout.txt'} <= files(job.outputs.retrieved)
        assert not [name for name in files(job.outputs.retrieved) if '-pos-' in name or '-frc-' in name]
    assert run.outputs.datasets['g0_0'].get_frames().forces.shape == (251, 10, 3)
    with run.outputs.potential.open_model() as handle:
        assert len(handle.read()) > 1_000_000
    n_stripped = orm.QueryBuilder().append(orm.Node, filters={'extras': {'has_key': LEFT_OUT}}).count()
    assert n_stripped == plan.n_stripped > 0


def test_without_remote_folders(example_run: orm.WorkChainNode, aiida_profile: Any, tmp_path: Path) -> None:
    """Remote folders that nothing was made from are gone with their links; one that a job went on from stays."""
    remote = orm.QueryBuilder().append(orm.RemoteData).first(flat=True)
    run = later_run(example_run)
    job = orm.CalcJobNode()
    job.base.links.add_incoming(remote, LinkType.INPUT_CALC, 'restart_folder')
    job.base.links.add_incoming(run, LinkType.CALL_CALC, 'restarted')
    job.store().seal()
    run.seal()
    used = remote.uuid
    nodes, links = nodes_and_links()
    remotes = set(orm.QueryBuilder().append(orm.RemoteData, project='uuid').all(flat=True))
    plan = plan_export(run, without_remote=True)
    write_export(plan, tmp_path / 'b.aiida')
    aiida_profile.reset_storage()
    import_run(tmp_path / 'b.aiida')
    left, links_left = nodes_and_links()
    assert nodes - left == remotes - {used}
    assert links - links_left == {link for link in links if {link[0], link[1]} & (remotes - {used})}
    assert (plan.n_nodes, plan.n_links) == (len(left), len(links_left))


def test_a_run_that_goes_on_is_named(example_run: orm.WorkChainNode) -> None:
    """What has not ended is found before anything is written."""
    run = later_run(example_run)
    assert plan_export(run).unsealed == (run.pk,)
    assert plan_export(example_run).unsealed == ()


def test_no_archive(aiida_profile_clean, tmp_path: Path) -> None:
    """A file that is none is refused in one sentence, whether it is a zip or not."""
    import zipfile

    path = tmp_path / 'x.aiida'
    path.write_text('nothing')
    with pytest.raises(ValueError, match='not even a zip'):
        import_run(path)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a', 'b')
    with pytest.raises(ValueError, match='no AiiDA archive'):
        import_run(path)


def test_damaged_archive(aiida_profile_clean, example_archive: Path, tmp_path: Path) -> None:
    """A file of which a part was lost on the way, and nothing of it stays in the profile."""
    content = bytearray(example_archive.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    path = tmp_path / 'damaged.aiida'
    path.write_bytes(content)
    before = orm.QueryBuilder().append(orm.Node).count()
    with pytest.raises(ValueError, match=r'is damaged .*copy it again'):
        import_run(path)
    assert orm.QueryBuilder().append(orm.Node).count() == before


READ_BARE = """
import io, json
import numpy
from aiida import load_profile, orm
load_profile()
run = orm.load_node('{run}')
dataset = run.outputs.datasets.g0_0
forces = numpy.load(io.BytesIO(dataset.base.repository.get_object_content('forces.npy', 'rb')))
try:
    import aiida_sis
except ImportError:
    installed = False
else:
    installed = True
print(json.dumps(dict(installed=installed, kind=type(dataset).__name__, forces=forces.shape,
    frames=dataset.base.attributes.get('n_frames'), outcome=run.outputs.summary['outcome'],
    positions=run.outputs.trajectories.r0.get_positions().shape)))
"""


@pytest.mark.slow
def test_reading_without_the_plugin(tmp_path: Path, example_archive: Path) -> None:
    """Where only aiida-core is installed, `verdi` imports and shows the run, and arrays are read as files of a Data."""
    packages = tmp_path / 'packages'
    packages.mkdir()
    for entry in Path(orm.__file__).parents[2].iterdir():
        # Without its `.dist-info` the plugin has no entry points, and without `.pth` files no path.
        if not entry.name.startswith(('aiida_sis', '_aiida_sis')) and entry.suffix != '.pth':
            (packages / entry.name).symlink_to(entry)
    profile = tmp_path / 'profile'
    profile.mkdir()
    environment = {**os.environ, 'PYTHONPATH': str(packages), 'AIIDA_PATH': str(profile)}

    def python(code: str, *arguments: str) -> str:
        answer = subprocess.run(
            [sys.executable, '-S', '-c', code, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    verdi = 'from aiida.cmdline.commands.cmd_verdi import verdi; verdi()'
    python(verdi, 'presto', '--no-broker', '--non-interactive')
    python(verdi, 'archive', 'import', str(example_archive))
    assert 'SisWorkChain' in python(verdi, 'process', 'list', '-a')
    assert 'train_g1' in python(verdi, 'node', 'show', RUN)
    read = json.loads(python(READ_BARE.format(run=RUN)).splitlines()[-1])
    assert read == {
        'installed': False,
        'kind': 'Data',
        'forces': [251, 10, 3],
        'frames': 251,
        'outcome': 'stable',
        'positions': [51, 10, 3],
    }
