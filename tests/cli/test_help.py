"""Every verb explains itself, with an example that can be typed; the shell completes them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from click.testing import CliRunner

from aiida_sis.cli import main

_EXAMPLE = re.compile(r'[Ee]xample:\s+(.+?)\s*(?:\n\s*\n|$)', re.DOTALL)


def verbs(group: click.Group = main, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield the words and the command of each verb."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from verbs(command, (*prefix, name))
        else:
            yield (*prefix, name), command


@pytest.mark.parametrize(('words', 'command'), verbs(), ids=[' '.join(words) for words, _ in verbs()])
def test_every_verb_has_an_example(
    words: tuple[str, ...], command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example calls the verb itself, and the verb takes these arguments."""
    result = CliRunner().invoke(main, [*words, '--help'])
    assert result.exit_code == 0
    match = _EXAMPLE.search(command.help or '')
    assert match is not None, f'{words} has no example in its help'
    line = ' '.join(match.group(1).split()).removeprefix('eval "$(').removesuffix(')"')
    typed = shlex.split(line, comments=True)
    typed = typed[: typed.index('|')] if '|' in typed else typed
    assert typed[: len(words) + 1] == ['aiida-sis', *words]
    monkeypatch.chdir(tmp_path)
    for word in typed[1:]:
        if '.' in word.strip('.'):
            Path(word).touch()  # the files that the example names
    command.make_context(words[-1], typed[len(words) + 1 :])


def complete(folder: Path, words: str) -> list[str]:
    """Return what Tab offers in bash after these words."""
    typed = shlex.split(words) + ([''] if words.endswith(' ') else [])
    environment = {
        **os.environ,
        '_AIIDA_SIS_COMPLETE': 'bash_complete',
        'COMP_WORDS': words,
        'COMP_CWORD': str(len(typed) - 1),
    }
    program = str(Path(sys.executable).parent / 'aiida-sis')
    answer = subprocess.run([program], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return [line.partition(',')[2] for line in answer.stdout.splitlines() if line]


def test_completion_of_verbs(tmp_path: Path) -> None:
    """Verbs and options."""
    assert complete(tmp_path, 'aiida-sis wat') == ['watch']
    assert '--json' in complete(tmp_path, 'aiida-sis status --')


def test_completion_of_runs(aiida_profile_clean, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PKs of runs, none of other nodes, and nothing but silence where there is no profile."""
    run = orm.WorkChainNode(process_type='aiida.workflows:sis.hybrid')
    run.store()
    orm.WorkChainNode().store()
    name = str(get_config().default_profile_name)
    assert complete(tmp_path, f'aiida-sis watch -p {name} ') == [str(run.pk)]
    assert complete(tmp_path, 'aiida-sis watch ') == [str(run.pk)], 'AIIDA_PATH names it'
    monkeypatch.delenv('AIIDA_PATH')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert complete(tmp_path, 'aiida-sis watch ') == []


@pytest.mark.parametrize('shell', ['bash', 'zsh', 'fish'])
def test_completion_script(shell: str) -> None:
    """The script names the command; where the shell is here, it reads it without complaint."""
    script = CliRunner().invoke(main, ['completion', shell])
    assert script.exit_code == 0
    assert '_AIIDA_SIS_COMPLETE' in script.output
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, '-n'], input=script.output, text=True, check=True, capture_output=True)
