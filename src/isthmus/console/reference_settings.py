"""The page of settings: what the programs of a control plane can be told when they start, made from their commands."""

from __future__ import annotations

from collections.abc import Iterator

import click

from isthmus.console.cli.citadel import command as citadel
from isthmus.console.cli.injector import command as injector
from isthmus.console.cli.run import pilot
from isthmus.console.installed_flags import always_said, setting_values
from isthmus.console.reference_commands import escaped, shown_default

_HEAD = """\
# Settings

What Pilot, Citadel and the injector can be told when they start: by a flag, or, where there is one, by the environment
variable; the flag wins. Made by `make docs` from the commands; do not edit. The last column names the value of an
[installation](installation.md) that sets a flag, or what every installation says; all others are said as `arguments` of
their program there (`pilot.arguments`). What the mesh itself is told while it runs is [MeshConfig](MeshConfig.md), how
much is logged `isthmus admin log`.
"""
PROGRAMS = {"Pilot": ("isthmus run pilot", pilot), "Citadel": ("isthmus run citadel", citadel)} | {
    "Injector": ("isthmus run injector", injector)
}
"""What is on the page, with the command that starts it."""


def page() -> str:
    """The page, a table for each program."""
    return "\n".join([_HEAD, *_sections()])


def settings_of(command: click.Command) -> list[click.Option]:
    """The options that are settings."""
    return [each for each in command.params if isinstance(each, click.Option) and not each.hidden]


def _sections() -> Iterator[str]:
    for title, (words, command) in PROGRAMS.items():
        head = "| flag | environment | default | what for | in an installation |\n|---|---|---|---|---|"
        yield f"## {title}\n\n`{words}`\n\n{head}"
        context = click.Context(command, info_name=words)
        program = words.rpartition(" ")[2]
        yield from (f"{_row(each, context)} {_installed(each, program)} |" for each in settings_of(command))
        yield ""


def _row(option: click.Option, context: click.Context) -> str:
    flags = ", ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
    named = [option.envvar] if isinstance(option.envvar, str) else (option.envvar or ())
    environment = ", ".join(f"`{each}`" for each in named)
    means = escaped(" ".join((option.help or "").split()))
    must = "must be given" if option.required else escaped(shown_default(option, context))
    return f"| {flags} | {environment} | {must} | {means} |"


def _installed(option: click.Option, program: str) -> str:
    """Who says it in an installation; empty: nobody, unless it is among the arguments."""
    for flag in (*option.opts, *option.secondary_opts):
        if paths := setting_values().get((program, flag)):
            return ", ".join(f"`{each}`" for each in paths)
        if (said := always_said().get((program, flag))) is not None:
            return f"always `{said}`" if said else "always"
    return ""
