"""Submit what `make demo` runs: export AIIDA_PATH=$PWD/.sis; .venv/bin/verdi run examples/run_sis.py."""

from aiida.engine import submit

from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.workflows.sis import SisWorkChain

builder = SisWorkChain.get_builder_from_protocol(
    codes={'cp2k': 'cp2k@localhost', 'dp': 'dp@localhost', 'lmp': 'lmp@localhost'},
    systems={'ion_pair': lifsi_ion_pair()},
    protocol='demo',
    seed=1,
)
node = submit(builder)
print(f'Submitted. Follow it by: aiida-sis watch {node.pk}')
