"""The second example, (LiF)2 with DFT: export AIIDA_PATH=$PWD/.sis; .venv/bin/verdi run examples/run_dimer.py."""

from aiida.engine import submit

from aiida_sis.structures.demo import lif_dimer
from aiida_sis.workflows.sis import SisWorkChain

builder = SisWorkChain.get_builder_from_protocol(
    codes={'cp2k': 'cp2k@localhost', 'dp': 'dp@localhost', 'lmp': 'lmp@localhost'},
    systems={'dimer': lif_dimer()},
    protocol='dimer',
    seed=1,
)
node = submit(builder)
print(f'Submitted. Follow it by: aiida-sis watch {node.pk}')
