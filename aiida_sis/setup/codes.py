"""The three codes: where they are, which version, how they are run, what to do when one is missing.

CP2K is looked for on the PATH; ``dp`` and ``lmp`` first beside this Python, since pip installs them there and another
``lmp`` on the PATH may lack the DeePMD plugin.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = (
    'CODES',
    'CodeSpec',
    'FoundCode',
    'environment_of',
    'find_code',
    'find_mpirun',
    'prepend_text',
    'problem_of_ps',
)

_MPI_ADVICE = 'Debian, Ubuntu: sudo apt-get install cp2k openmpi-bin.  Elsewhere: conda install -c conda-forge cp2k'
#: How long a code may take to say its version, in s; ten where nothing else runs.
_PATIENCE_S = 120
_PIP_ADVICE = "pip install 'deepmd-kit[cpu,lmp]' (or: conda install -c conda-forge deepmd-kit lammps)"


@dataclass(frozen=True)
class CodeSpec:
    """What a code is called and how it is recognised.

    :param label: the label of the AiiDA code.
    :param title: the name of the software.
    :param executables: names to look for, the best first.
    :param plugin: entry point of the calculation that runs it.
    :param version_arguments: arguments that make it say its version.
    :param version_pattern: where the version is in what it says.
    :param advice: what to do when it is missing.
    :param stdin: what it is given to read when it is asked.
    """

    label: str
    title: str
    executables: tuple[str, ...]
    plugin: str
    version_arguments: tuple[str, ...]
    version_pattern: str
    advice: str
    stdin: str = ''


@dataclass(frozen=True)
class FoundCode:
    """A code that is there. ``problem`` is one sentence if it does not work as it must."""

    spec: CodeSpec
    path: Path
    version: str
    problem: str | None = None


CODES: tuple[CodeSpec, ...] = (
    CodeSpec(
        label='cp2k',
        title='CP2K',
        executables=('cp2k.psmp', 'cp2k.popt', 'cp2k.ssmp', 'cp2k.sopt', 'cp2k'),
        plugin='cp2k',
        version_arguments=('--version',),
        version_pattern=r'CP2K version\s+(\S+)',
        advice=_MPI_ADVICE,
    ),
    CodeSpec(
        label='dp',
        title='DeePMD-kit',
        executables=('dp',),
        plugin='deepmd.train',
        version_arguments=('--version',),
        version_pattern=r'v?(\d+\.\d+\S*)',
        advice=_PIP_ADVICE,
    ),
    CodeSpec(
        label='lmp',
        title='LAMMPS',
        executables=('lmp', 'lmp_mpi', 'lmp_serial'),
        plugin='sis.lammps.md',
        version_arguments=('-log', 'none'),
        version_pattern=r'LAMMPS \((.+?)\)',
        advice=_PIP_ADVICE,
        stdin='info styles pair\n',
    ),
)


def find_code(spec: CodeSpec) -> FoundCode | None:
    """Find a code and ask its version, because a path alone does not say that it starts.

    :param spec: the code.
    """
    beside_python = str(Path(sys.executable).parent)
    path_variable = os.environ.get('PATH', os.defpath)
    search = path_variable if spec.label == 'cp2k' else os.pathsep.join((beside_python, path_variable))
    found = [where for name in spec.executables if (where := shutil.which(name, path=search))]
    if not found:
        return None
    return _ask(spec, Path(found[0]))


def _ask(spec: CodeSpec, path: Path) -> FoundCode:
    environment = {**os.environ, **environment_of(spec)}
    try:
        answer = subprocess.run(
            [str(path), *spec.version_arguments],
            input=spec.stdin,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        busy = f'it did not say its version in {_PATIENCE_S} s: try again when the machine is less busy'
        return FoundCode(spec, path, 'unknown', busy)
    except OSError as error:
        return FoundCode(spec, path, 'unknown', f'it does not start ({error}); remove it, then: {spec.advice}')
    text = answer.stdout + answer.stderr
    match = re.search(spec.version_pattern, answer.stdout) or re.search(spec.version_pattern, answer.stderr)
    if match is None:
        last = text.strip().splitlines()[-1:] or ['it printed nothing']
        return FoundCode(
            spec, path, 'unknown', f'it does not say its version ({last[0]}); remove it, then: {spec.advice}'
        )
    return FoundCode(spec, path, match.group(1).strip(), _problem(spec, path, text))


def _problem(spec: CodeSpec, path: Path, text: str) -> str | None:
    """Say what a code lacks: LAMMPS needs the pair style ``deepmd``, whether built in or as a plugin."""
    if spec.label != 'lmp' or re.search(r'\bdeepmd\b(?!-)', text.partition('Pair styles')[2]):
        return None
    return f'the pair style `deepmd` is missing in {path}; install LAMMPS with the DeePMD plugin: {spec.advice}'


def environment_of(spec: CodeSpec, n_cores: int | None = None) -> dict[str, str]:
    """Return the environment variables that a code is run with on this machine.

    OpenMP threads that spin at barriers make CP2K ten times slower on a shared machine; MPI ranks do not. The training
    is one process and may use the cores; the MD runs are several at once and get one core each.

    :param spec: the code.
    :param n_cores: cores of the machine, by default those that this process may use.
    """
    cores = n_cores if n_cores is not None else available_cores()
    variables = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
    if spec.label == 'dp':
        threads = str(max(1, min(cores, 4)))
        variables |= {'DP_INTRA_OP_PARALLELISM_THREADS': threads, 'DP_INTER_OP_PARALLELISM_THREADS': threads}
    if spec.label == 'lmp':
        variables |= {'DP_INTRA_OP_PARALLELISM_THREADS': '1', 'DP_INTER_OP_PARALLELISM_THREADS': '1'}
    if spec.label in ('dp', 'lmp'):
        variables['TF_CPP_MIN_LOG_LEVEL'] = '2'
    if spec.label == 'cp2k':
        # Open MPI pins every job to the same first cores unless it is told not to, and refuses root.
        variables |= {'OMPI_MCA_hwloc_base_binding_policy': 'none', 'OMPI_MCA_rmaps_base_oversubscribe': '1'}
        if os.geteuid() == 0:
            variables |= {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}
    return variables


def prepend_text(variables: Mapping[str, str]) -> str:
    """Return the lines that a job script starts with.

    :param variables: environment variables.
    """
    return '\n'.join(f"export {name}='{value}'" for name, value in variables.items())


def find_mpirun(cp2k: Path | None) -> str:
    """Return the ``mpirun`` that belongs to CP2K.

    The environment of LAMMPS may bring a launcher of another MPI library, which would start as many serial CP2Ks as
    ranks are asked for.

    :param cp2k: the CP2K executable.
    """
    if cp2k is not None and (beside := cp2k.parent / 'mpirun').exists():
        return str(beside)
    return shutil.which('mpirun') or 'mpirun'


def problem_of_ps() -> str | None:
    """Say in one sentence why AiiDA can't follow the jobs on this machine, or nothing where it can.

    It asks ``ps`` for them and takes a job that the answer lacks for ended, so without ``ps`` every job ends at once.
    """
    advice = 'sudo apt-get install procps  (elsewhere: conda install -c conda-forge procps-ng)'
    try:
        answer = subprocess.run(
            ['ps', '-xo', 'pid,stat,user,time', str(os.getpid())],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        return f'AiiDA follows its jobs by `ps`, which is missing: {advice}'
    except (OSError, subprocess.TimeoutExpired) as error:
        return f'AiiDA follows its jobs by `ps`, which does not work ({error}); install another: {advice}'
    if any(line.split()[:1] == [str(os.getpid())] for line in answer.stdout.splitlines()):
        return None
    said = (answer.stderr.strip() or answer.stdout.strip() or 'no answer').splitlines()[0]
    return (
        f'AiiDA follows its jobs by `ps`, which does not show this process ({said}): '
        f'mend that, or install another: {advice}'
    )


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
