"""``aiida-sis completion SHELL``: what makes the shell complete commands, options and PKs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ('completion',)

_SHELLS = ('bash', 'zsh', 'fish')


@click.command()
@click.argument('shell', type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion of SHELL.

    For bash, add `eval "$(aiida-sis completion bash)"` to ~/.bashrc, for zsh the same with zsh to ~/.zshrc. For fish:
    aiida-sis completion fish > ~/.config/fish/completions/aiida-sis.fish. The Tab key then completes commands, options
    and the PKs of runs.

    Example: eval "$(aiida-sis completion bash)"
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f'The installed click cannot complete for {shell}: pip install --upgrade click.')
    root = context.find_root()
    click.echo(kind(root.command, {}, 'aiida-sis', '_AIIDA_SIS_COMPLETE').source())
