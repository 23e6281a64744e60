"""Codes are found where they must be, asked for their version, and judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_sis.setup.codes import CODES, environment_of, find_code, find_mpirun, prepend_text, problem_of_ps

CP2K, DP, LMP = CODES


def program(folder: Path, name: str, text: str) -> Path:
    """Write a program that prints a text."""
    path = folder / name
    path.write_text(f'#!/bin/sh\ncat <<"END"\n{text}\nEND\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def only_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder the only place where programs are, apart from the shell's own."""
    monkeypatch.setenv('PATH', f'{tmp_path}:/nowhere')
    monkeypatch.setattr('sys.executable', str(tmp_path / 'python'))
    return tmp_path


def with_shell(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a fake program find `cat`."""
    monkeypatch.setenv('PATH', f'{folder}:/usr/bin:/bin')


def test_missing(only_path: Path) -> None:
    """Nothing is found where nothing is."""
    assert [find_code(spec) for spec in CODES] == [None, None, None]


def test_version(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is read from what CP2K prints, and psmp is preferred to popt."""
    program(only_path, 'cp2k.popt', ' CP2K version 7.1')
    path = program(only_path, 'cp2k.psmp', ' CP2K version 2023.1\n Source code revision')
    with_shell(monkeypatch, only_path)
    found = find_code(CP2K)
    assert found is not None
    assert (found.path, found.version, found.problem) == (path, '2023.1', None)


def test_lammps_without_deepmd(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A LAMMPS that lacks the pair style is named as the problem."""
    program(only_path, 'lmp', 'LAMMPS (2 Aug 2023)\nPair styles:\n\n lj/cut  eam')
    with_shell(monkeypatch, only_path)
    found = find_code(LMP)
    assert found is not None
    assert found.version == '2 Aug 2023'
    assert 'pair style `deepmd` is missing' in str(found.problem)
    program(only_path, 'lmp', 'LAMMPS (2 Aug 2023)\nPair styles:\n\n deepmd  lj/cut')
    found = find_code(LMP)
    assert found is not None
    assert found.problem is None


def test_broken(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not say its version is reported with what it says."""
    program(only_path, 'dp', 'cannot open shared object file')
    with_shell(monkeypatch, only_path)
    found = find_code(DP)
    assert found is not None
    assert found.version == 'unknown'
    assert 'cannot open shared object file' in str(found.problem)


def test_jobs_are_seen() -> None:
    """The `ps` of this machine shows its processes."""
    assert problem_of_ps() is None


def test_no_ps(only_path: Path) -> None:
    """Without `ps` AiiDA takes every job for ended; the package that brings it is named."""
    problem = problem_of_ps()
    assert problem is not None
    assert '`ps`, which is missing' in problem
    assert 'apt-get install procps' in problem


@pytest.mark.parametrize(
    ('script', 'said'),
    [
        ("echo 'ps: unrecognized option: x' >&2; exit 1", 'ps: unrecognized option: x'),  # BusyBox
        ("echo 'Error, do this: mount -t proc proc /proc'; exit 1", 'mount -t proc'),  # a bare chroot
        ("echo 'PID STAT USER TIME'", 'PID STAT USER TIME'),
        ('exit 0', 'no answer'),
        ('kill -9 $$', 'no answer'),
    ],
)
def test_blind_ps(only_path: Path, script: str, said: str) -> None:
    """A `ps` that does not show a running process is as bad as none, and what it said is repeated."""
    path = only_path / 'ps'
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    problem = problem_of_ps()
    assert problem is not None
    assert said in problem
    assert 'procps' in problem


def test_ps_that_does_not_start(only_path: Path) -> None:
    """A `ps` that may not be executed is named with the reason."""
    path = only_path / 'ps'
    path.write_text('no program')
    path.chmod(0o755)
    assert 'does not work' in str(problem_of_ps())


def test_environment() -> None:
    """OpenMP has one thread; the training uses the cores, at most four; an MD one."""
    assert environment_of(CP2K)['OMP_NUM_THREADS'] == '1'
    assert environment_of(DP, n_cores=2)['DP_INTRA_OP_PARALLELISM_THREADS'] == '2'
    assert environment_of(DP, n_cores=64)['DP_INTRA_OP_PARALLELISM_THREADS'] == '4'
    assert environment_of(LMP, n_cores=64)['DP_INTRA_OP_PARALLELISM_THREADS'] == '1'
    assert prepend_text({'A': '1', 'B': '2'}) == "export A='1'\nexport B='2'"


def test_mpirun_beside_cp2k(tmp_path: Path) -> None:
    """The launcher comes from where CP2K is."""
    (tmp_path / 'mpirun').touch()
    assert find_mpirun(tmp_path / 'cp2k.psmp') == str(tmp_path / 'mpirun')
