"""`isthmus completion`: what a shell must know to complete our words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from isthmus.console.render import fail

_SHELLS = ("bash", "zsh", "fish")
_PROGRAM, _ASKED = "isthmus", "_ISTHMUS_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print what SHELL must know to complete commands, flags and their values.

    \b
    bash   isthmus completion bash > ~/.local/share/bash-completion/completions/isthmus
    zsh    isthmus completion zsh > "${fpath[1]}/_isthmus"
    fish   isthmus completion fish > ~/.config/fish/completions/isthmus.fish
    """
    known = get_completion_class(shell)
    if known is None:
        fail(f"nothing is known of {shell}")
    click.echo(known(context.find_root().command, {}, _PROGRAM, _ASKED).source())
