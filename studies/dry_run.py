"""Make the CP2K inputs of a protocol as a run would, and look at the first SCF iterations of each.

It answers what a syntax check can't: does CP2K take the input, does the energy go down, how long is an iteration and
how much memory does it need, before a cluster is asked for days. Use, with the codes of `aiida-sis setup`:
`verdi run studies/dry_run.py moderate --system interface --cp2k cp2k@localhost`. With `--iterations 0` the inputs
are only written and checked for their syntax. Nothing is stored.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from aiida import load_profile, orm
from aiida.engine import run
from ase import Atoms

from aiida_sis.core.cp2k.input import aimd_input, optimisation_input
from aiida_sis.core.overlay import merge
from aiida_sis.core.settings.label import read_label_settings
from aiida_sis.core.settings.sis import read_settings
from aiida_sis.structures.build import build
from aiida_sis.structures.file import atoms_from_file
from aiida_sis.workflows.protocols import load_protocol

BUILT: dict[str, tuple[str, dict[str, Any]]] = {
    'lithium': ('bulk', {'n_atoms': 91, 'cell_angstrom': 13.0}),
    'electrolyte': ('electrolyte', {'n_lifsi': 1, 'n_dol': 21, 'cell_angstrom': 15.0}),
    'interface': ('interface', {'n_lifsi': 1, 'n_dol': 13, 'cell_z_angstrom': 26.725}),
}
KINDS = ('aimd', 'optimisation')


def start_structure(system: str, file: Path | None) -> Atoms:
    """Give the structure of a system: from a file, or as the builders of the package make it.

    :param system: name of the system.
    :param file: any file that ASE reads, with a cell.
    :returns: the atoms.
    """
    if file is not None:
        return atoms_from_file(file)
    kind, parameters = BUILT[system]
    return build(kind, parameters, seed=1).atoms


def cp2k_tree(protocol: str, system: str, kind: str, iterations: int) -> dict[str, Any]:
    """Make the input tree that a run with this protocol would give to CP2K for this system.

    :param protocol: name of the protocol.
    :param system: name of the system.
    :param kind: `aimd` or `optimisation`.
    :param iterations: where above 0, CP2K stops after so many SCF iterations and prints each of them.
    :returns: the tree, without the structure.
    """
    values = load_protocol(protocol)
    own = read_settings(values['sis']).system(system)
    label = read_label_settings(values['label'])
    level_of_theory = merge(values['cp2k'], own.cp2k)
    if kind == 'optimisation':
        limits = label.optimisation
        tree = optimisation_input(level_of_theory, max_steps=limits.max_steps, max_force=limits.max_force)
    else:
        tree = aimd_input(
            level_of_theory,
            n_steps=label.n_steps,
            timestep_fs=label.timestep_fs,
            temperature_k=(own.temperatures_k or (300.0,))[0],
            time_constant_fs=label.thermostat_time_constant_fs,
            seed=1,
        )
    if iterations:
        scf = {'MAX_SCF': iterations, 'PRINT': {'PROGRAM_RUN_INFO': {'_': 'ON'}}}
        tree = merge(tree, {'FORCE_EVAL': {'DFT': {'SCF': scf}}})
        tree['FORCE_EVAL']['DFT']['SCF'].pop('OUTER_SCF', None)
        tree['GLOBAL']['PRINT_LEVEL'] = 'LOW'
    return tree


def write_inputs(code: orm.AbstractCode, tree: dict[str, Any], atoms: Atoms, folder: Path) -> Path:
    """Let aiida-cp2k write the files of the job without submitting it.

    :param code: the code of CP2K.
    :param tree: the input tree.
    :param atoms: the structure.
    :param folder: where the files go.
    :returns: the folder of the job.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = Path.cwd()
    os.chdir(folder)
    try:
        builder = code.get_builder()
        builder.structure = orm.StructureData(ase=atoms)
        builder.parameters = orm.Dict(tree)
        builder.metadata.options.resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        builder.metadata.dry_run = True
        builder.metadata.store_provenance = False
        run(builder)
    finally:
        os.chdir(here)
    return max((folder / 'submit_test').iterdir(), key=lambda path: path.name)


def run_cp2k(executable: str, folder: Path, iterations: int, seconds: float) -> dict[str, Any]:
    """Run CP2K on one core until it has printed the iterations asked for, or its time is up.

    :param executable: path of CP2K.
    :param folder: folder of the job.
    :param iterations: number of SCF iterations.
    :param seconds: limit of the wall time in s.
    :returns: what was seen: energies of the iterations in hartree, CPU time in s, memory in MB, the reason of an abort.
    """
    output = folder / 'aiida.out'
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
    began = time.monotonic()
    with output.open('w') as stream:
        process = subprocess.Popen(
            ['nice', '-n', '19', executable, '-i', 'aiida.inp'],
            cwd=folder,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        stopped = False
        while process.poll() is None:
            text = output.read_text(errors='replace')
            if len(scf_energies(text)) >= iterations or time.monotonic() - began > seconds:
                stopped = True
                process.terminate()
                process.wait()
            time.sleep(1.0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = output.read_text(errors='replace')
    return {
        'energies': scf_energies(text)[:iterations],
        'cpu_s': used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        'memory_mb': used.ru_maxrss / 1024,
        'abort': abort_reason(text) or ('' if stopped or not process.returncode else f'code {process.returncode}'),
    }


def scf_energies(text: str) -> list[float]:
    """Read the energy of every SCF iteration so far: OT and diagonalisation print the same columns.

    :param text: CP2K's output.
    :returns: energies in hartree.
    """
    pattern = r'^\s+\d+ (?:OT|P_Mix|NoMix|Broy|Mixing|Pulay|DIIS)\S* .*?(-\d+\.\d{6,}) +-?\d'
    return [float(value) for value in re.findall(pattern, text, re.MULTILINE)]


def abort_reason(text: str) -> str:
    """Read CP2K's own words about why it stopped.

    :param text: CP2K's output.
    :returns: the words between the stars, or nothing.
    """
    found = re.search(r'\[ABORT\](.*?)\*{20}', text, re.DOTALL)
    return ' '.join(re.sub(r'[*|\\/]', ' ', found.group(1)).split()) if found else ''


def main() -> None:
    """Read the command line and go through the systems."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('protocol')
    parser.add_argument('--system', choices=sorted(BUILT), help='only this one')
    parser.add_argument('--structure', type=Path, help='file to take instead of the built structure')
    parser.add_argument('--kind', choices=KINDS, help='only this one')
    parser.add_argument('--iterations', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=900.0)
    parser.add_argument('--cp2k', default='cp2k@localhost')
    parser.add_argument('--folder', type=Path, default=Path('dry_run'))
    options = parser.parse_args()
    load_profile()
    code = orm.load_code(options.cp2k)
    executable = shutil.which(str(code.filepath_executable)) or str(code.filepath_executable)
    print(f'{"system":12} {"input":13} {"atoms":>5} {"energies, Ha":40} {"CPU s":>7} {"MB":>6}  aborted because')
    for system in [options.system] if options.system else BUILT:
        atoms = start_structure(system, options.structure)
        for kind in [options.kind] if options.kind else KINDS:
            tree = cp2k_tree(options.protocol, system, kind, options.iterations)
            folder = write_inputs(code, tree, atoms, options.folder / options.protocol / system / kind)
            if options.iterations == 0:
                check = subprocess.run([executable, '--check', 'aiida.inp'], cwd=folder, capture_output=True, text=True)
                words = 'the syntax is right' if 'SUCCESS' in check.stdout else check.stdout[-2000:]
                print(f'{system:12} {kind:13} {len(atoms):5} {words}')
                continue
            seen = run_cp2k(executable, folder, options.iterations, options.seconds)
            energies = ' '.join(f'{energy:.4f}' for energy in seen['energies'])
            print(
                f'{system:12} {kind:13} {len(atoms):5} {energies:40} {seen["cpu_s"]:7.0f} {seen["memory_mb"]:6.0f}'
                f'  {seen["abort"]}',
                flush=True,
            )


if __name__ == '__main__':
    main()
