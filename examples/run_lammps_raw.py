"""Run the LAMMPS input of an MD again through aiida-lammps: verdi run examples/run_lammps_raw.py JOB [CODE].

JOB is a `LammpsMdCalculation` of `verdi process status RUN`, CODE a code such as lmp@localhost (default: that of JOB).
"""

import sys

from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory
from aiida_lammps.parsers.parse_raw import parse_outputfile


def file_of(node: orm.Node, name: str) -> orm.SinglefileData:
    """Return a file of a node as a node of its own."""
    return orm.SinglefileData.from_bytes(node.base.repository.get_object_content(name, 'rb'), name)


job = orm.load_node(sys.argv[1])
potential = job.inputs.potential

builder = CalculationFactory('lammps.raw').get_builder()
builder.code = orm.load_code(sys.argv[2]) if len(sys.argv) > 2 else job.inputs.code
builder.script = file_of(job, 'input.lmp')
builder.files = {'structure': file_of(job, 'structure.data'), 'potential': file_of(potential, potential.model_filename)}
builder.settings = orm.Dict({'additional_retrieve_list': ['trajectory.lammpstrj']})
builder.metadata.options.resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
builder.metadata.options.withmpi = False
_, node = run_get_node(builder)

# The reader of aiida-lammps returns the first table that it finds; that of the dynamics follows this mark.
printed = node.outputs.retrieved.base.repository.get_object_content('lammps.out')
table = parse_outputfile(file_contents=printed.rpartition('SIS_BEGIN_MD')[2])['time_dependent']
print(f'{node.process_label}<{node.pk}>: {table["Step"][-1]:g} steps, {table["Temp"][-1]:.3f} K at the end')
