"""What is shown goes on being shown: as it changes, and only what has changed."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from isthmus.kube.errors import KubeError

EVERY_S = 2.0


def follow(look: Callable[[], str], *, by_lines: bool) -> None:
    """Shows what `look` finds, again and again, until Ctrl-C: whole documents, or lines that were not there before.

    What cannot be looked at for a while is said once, and looked at again. Raises what the first look raises.
    """
    shown = look()
    click.echo(shown)
    trouble = ""
    while True:
        time.sleep(EVERY_S)
        try:
            found, trouble = look(), ""
        except KubeError as error:
            if str(error) != trouble:
                trouble = str(error)
                click.echo(f"error: {trouble}", err=True)
            continue
        for text in new_lines(shown, found) if by_lines else [found] if found != shown else []:
            click.echo(text)
        shown = found


def new_lines(before: str, after: str) -> list[str]:
    """The lines that were not there, and, after a dash, those that are no more; told apart by words, not by columns."""
    was = {" ".join(line.split()): line for line in before.splitlines()}
    now = {" ".join(line.split()): line for line in after.splitlines()}
    firsts = {key.partition(" ")[0] for key in now}
    gone = [
        f"- {line}" for key, line in was.items() if key not in now and key.partition(" ")[0] not in firsts
    ]
    return [*gone, *(line for key, line in now.items() if key not in was)]
