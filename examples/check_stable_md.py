"""Label the frames of a stable MD and print the force error along it.

export AIIDA_PATH=$PWD/.sis; .venv/bin/verdi run examples/check_stable_md.py PK, with the PK of the run. It computes a
single point for each frame of the trajectory with the level of theory of the run.
"""

import sys

from aiida import orm
from aiida.engine import run_get_node

from aiida_sis.calculations.rehearsal import compare_forces
from aiida_sis.workflows.replay import ReplayWorkChain

run = orm.load_node(sys.argv[1])
label = run.get_builder_restart().label
for name, trajectory in run.outputs.trajectories.items():
    builder = ReplayWorkChain.get_builder()
    builder.cp2k = label.cp2k
    builder.parameters = label.parameters
    builder.type_map = run.inputs.type_map
    builder.seed = orm.Int(1)
    builder.frames = trajectory
    replay = run_get_node(builder).node
    if 'trajectory' not in replay.outputs:
        sys.exit(f'{name}: {replay.exit_message}')
    compared = compare_forces(trajectory, replay.outputs.trajectory)
    found = compared['results']
    print(
        f'{name}: force RMSE {found["force_rmse_ev_per_angstrom"]:.3f} eV/Å, '
        f'worst frame {found["largest_force_rmse_ev_per_angstrom"]:.3f}, '
        f'RMS force {found["teacher_force_ev_per_angstrom"]:.3f}; {found["n_frames"]} of {trajectory.numsteps} frames'
    )
