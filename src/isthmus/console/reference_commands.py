"""The page of commands: every command with its options, and every setting of Pilot and Citadel, made from the code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from isthmus.console.cli import ALSO, main

_HEAD = """\
# Commands

Every command of `isthmus` with its options; of `run pilot` and `run citadel` these are their settings, with the
environment variable of each. Made by `make docs` from the commands themselves; do not edit. What options of one name
mean is the same everywhere, and how commands are called and end is a rule: CONTRIBUTING, "Commands".
"""


def page() -> str:
    """The page: a table of contents, then a section for each command."""
    found = list(_commands(main, ("isthmus",)))
    contents = [f"- [`{' '.join(words)}`](#{'-'.join(words)}): {_first(command)}" for words, command in found]
    also = [f"| `{word}` | `{' '.join(('isthmus', *words))}` |" for word, words in sorted(ALSO.items())]
    names = ["", "## Names of istioctl's", "", "| word | stands for |", "|---|---|", *also, ""]
    sections = (_section(words, command) for words, command in found)
    return "\n".join([_HEAD, *contents, *names, *sections])


def _commands(
    command: click.Command, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from _commands(found, (*words, name))


def _first(command: click.Command) -> str:
    text = " ".join(inspect.cleandoc(command.help or "").partition("\n\n")[0].split())
    return escaped(text.partition(". ")[0].rstrip(".:"))


def _section(words: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(words))
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {' '.join(words)}", "", "```text", f"{' '.join(words)} {usage}", "```", ""]
    lines += [*_help(command), ""]
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    if options:
        lines += ["| option | means | usually | environment |", "|---|---|---|---|"]
        lines += [_row(each, context) for each in options]
        lines += [""]
    return "\n".join(lines)


def _help(command: click.Command) -> Iterator[str]:
    """The paragraphs; what is set as it is stays so."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```text\n{paragraph.removeprefix(chr(8)).strip(chr(10))}\n```\n"
        else:
            yield f"{escaped(' '.join(paragraph.split()))}\n"


def _row(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    names = ", ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
    shown = shown_default(option, context)
    environment = option.envvar if isinstance(option.envvar, str) else ", ".join(option.envvar or ())
    several = (
        "; may be given several times" if option.multiple and "several" not in (option.help or "") else ""
    )
    means = escaped(" ".join((option.help or "").split())) + several
    kind = f" `{value.strip()}`" if value else ""
    return f"| {names}{escaped(kind)} | {means} | {escaped(shown)} | {f'`{environment}`' if environment else ''} |"


def shown_default(option: click.Option, context: click.Context) -> str:
    """What holds where the option is not given, as Markdown; empty where that is nothing."""
    default = option.get_default(context, call=False)
    return option.show_default if isinstance(option.show_default, str) else _default(option, default)


def _default(option: click.Option, default: object) -> str:
    if option.is_flag and isinstance(default, bool):
        return (option.opts[0] if default else option.secondary_opts[0]) if option.secondary_opts else ""
    if isinstance(default, (str, int, float)) and default not in ("", False):
        return f"`{default}`"
    return ""


def escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")
