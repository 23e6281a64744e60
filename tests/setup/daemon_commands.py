"""What commands of a newcomer do with the daemon, each in a Python of its own, without the codes.

``python daemon_commands.py FOLDER begin|look|go_on|stop [PK]`` prints JSON: what was said, the job, whether it ended,
and the living processes of the daemon with the word that tells them apart.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from aiida_sis.setup.profile import ensure_computer, ensure_profile

warnings.simplefilter('ignore')
ensure_profile(Path(sys.argv[1]))

from aiida import orm  # noqa: E402  # AiiDA reads its folder when it is imported
from aiida.engine import submit  # noqa: E402
from aiida.engine.daemon.client import get_daemon_client  # noqa: E402
from aiida.plugins import CalculationFactory  # noqa: E402

from aiida_sis.cli import main  # noqa: E402
from aiida_sis.run import daemon as views  # noqa: E402
from aiida_sis.setup import daemon as setup  # noqa: E402

CLIENT = get_daemon_client('sis')


def begin() -> dict[str, Any]:
    """Set up, and submit a job of some seconds."""
    said = setup.ensure_daemon()
    code = orm.InstalledCode(label='bash', computer=ensure_computer('mpirun'), filepath_executable='/bin/bash').store()
    builder = CalculationFactory('core.arithmetic.add').get_builder()
    builder.code, builder.x, builder.y = code, orm.Int(1), orm.Int(2)
    builder.metadata.options.sleep = 5
    return {'said': said, 'pk': submit(builder).pk}


def look() -> dict[str, Any]:
    """Say what a view says of a daemon whose workers have had their time to begin."""
    views._WORKER_STARTS_S = 5.0
    return {'said': views.daemon_problem()}


def go_on() -> dict[str, Any]:
    """Set up again, and wait for the job."""
    views._WORKER_STARTS_S = 5.0
    result = CliRunner().invoke(main, ['setup', '--daemon-only', '--profile-dir', sys.argv[1]])
    said = result.output.strip().removeprefix('daemon').strip()
    node, deadline = orm.load_node(int(sys.argv[3])), time.monotonic() + 240
    while not node.is_terminated and time.monotonic() < deadline:
        time.sleep(0.5)
    views._WORKER_STARTS_S = 90.0
    return {'said': said, 'exit_status': node.exit_status, 'problem': views.daemon_problem()}


def stop() -> dict[str, Any]:
    """Stop the daemon."""
    return {'said': CLIENT.stop_daemon(wait=True, timeout=60)['status']}


said = globals()[sys.argv[2]]()
supervisor = views.supervisor_of(CLIENT)
roles = {'supervisor': [supervisor.pid] if supervisor else [], 'worker': [], 'broker': [], 'stats': []}
for process in setup._children_of(CLIENT):
    line = ' '.join(process.cmdline())
    roles[next(role for role in ('stats', 'daemon worker', 'daemon broker') if role in line).split()[-1]].append(
        process.pid
    )
print(json.dumps(said | {'parts': roles}))
