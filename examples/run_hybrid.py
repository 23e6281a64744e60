"""Submit a hybrid run of molten NaCl with a classical teacher.

Use: export AIIDA_PATH=$PWD/.sis; .venv/bin/verdi run examples/run_hybrid.py
"""

from aiida.engine import submit

from aiida_sis.structures.demo import rehearsal_systems
from aiida_sis.workflows.hybrid import HybridWorkChain

melt, _ = rehearsal_systems(seed=1)
hybrid = {
    'cycles': 5,
    'first_aimd_length_fs': 500.0,
    'aimd_length_fs': 200.0,
    'md_length_ps': 2.0,
    'window_k': [600.0, 1900.0],
}
builder = HybridWorkChain.get_builder_from_protocol(
    codes={'cp2k': 'cp2k@localhost', 'dp': 'dp@localhost', 'lmp': 'lmp@localhost'},
    structure=melt,
    protocol='rehearsal',
    overrides={'hybrid': hybrid, 'dp': {'training': {'numb_steps': 3000}}},
    seed=1,
)
node = submit(builder)
print(f'Submitted. Look at it by: aiida-sis watch {node.pk}')
