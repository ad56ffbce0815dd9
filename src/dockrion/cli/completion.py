"""`dockrion completion`: the script with which a shell completes commands, options, their values and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dockrion.cli.failures import debug_option

SHELLS = ("bash", "fish", "zsh")
# The name that click derives from the program's, and looks for when it is called.
VARIABLE = "_DOCKRION_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@debug_option
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes words in a shell.

    \b
    bash  in ~/.bashrc:  eval "$(dockrion completion bash)"
    zsh   in ~/.zshrc, behind compinit:  eval "$(dockrion completion zsh)"
    fish  dockrion completion fish > ~/.config/fish/completions/dockrion.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click has all of SHELLS"
    click.echo(kind(ctx.find_root().command, {}, "dockrion", VARIABLE).source())
