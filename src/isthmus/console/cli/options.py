"""The options that commands share, each with one spelling, one meaning and one help text everywhere.

The rule is in CONTRIBUTING ("Commands"); `tests/unit/console/test_rule_of_commands.py` holds it for every command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from isthmus.console.meshed import Meshed
from isthmus.console.render import fail

F = TypeVar("F", bound=Callable[..., Any])

FORMS = ("table", "wide", "json", "yaml")
"""What `--output` may be: for people, for people who want more columns, for programs twice."""
_SAME = {
    "text": "table",
    "short": "table",
    "log": "table",
    "prom": "prometheus",
    "prom-merged": "merged",
}
"""What istioctl and our own older releases call forms."""


class Decorator(Protocol):
    """What gives any command something more."""

    def __call__(self, command: F, /) -> F: ...


def with_options(options: Sequence[Decorator]) -> Decorator:
    """A decorator that gives a command these options, in help in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _impersonate(ctx: click.Context, _: click.Parameter, value: str | tuple[str, ...]) -> None:
    """Lets all API servers take what this command asks for as asked by somebody else, until it ends."""
    if not value or ctx.resilient_parsing:
        return
    import msgspec

    from isthmus.console.control_plane import IMPERSONATED
    from isthmus.kube.kubeconfig import Impersonation

    now = IMPERSONATED.get() or Impersonation(user="")
    said = {"user": value} if isinstance(value, str) else {"groups": value}
    token = IMPERSONATED.set(msgspec.structs.replace(now, **said))
    ctx.call_on_close(lambda: IMPERSONATED.reset(token))


_FILES = click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file")
AS = (
    click.option(
        "--as",
        "impersonated",
        metavar="USER",
        hidden=True,
        expose_value=False,
        callback=_impersonate,
        help="as whom API servers are asked, if whoever asks may impersonate him",
    ),
    click.option(
        "--as-group",
        "impersonated_groups",
        metavar="GROUP",
        multiple=True,
        hidden=True,
        expose_value=False,
        callback=_impersonate,
        help="and in which groups; several may be given",
    ),
)
"""What each command with --kubeconfig has, and only `isthmus options` tells."""
KUBECONFIG = with_options((_FILES, *AS))
"""`--kubeconfig`, and with it `--as` and `--as-group`."""
CONTEXT = click.option("--context", help="kubeconfig context of the cluster")
"""For commands that are about one cluster."""
ROOT = click.option(
    "-i", "--istio-namespace", "root", default="istio-system", show_default=True, help="Pilot's namespace"
)
NAMESPACE = click.option(
    "-n", "--namespace", default="", help="only this namespace; of a pod: its own, default else"
)
ALL_NAMESPACES = click.option("-A", "--all-namespaces", is_flag=True, help="all namespaces, as without -n")
WATCH = click.option(
    "-w", "--watch", is_flag=True, help="after that show what changes, as it changes, until Ctrl-C"
)
_CLUSTERS = (
    click.option(
        "--context",
        "contexts",
        multiple=True,
        help="kubeconfig context of a cluster; several may be given, the first has the configuration",
    ),
    click.option(
        "--all-contexts", is_flag=True, help="every context of the kubeconfig; the current one comes first"
    ),
    KUBECONFIG,
    ROOT,
)


def set_up_logs_as(option: str, levels: str) -> None:
    """Logs as this option of the command says; ends with an error where that is no level."""
    from isthmus.kit.log_levels import set_up_logs

    try:
        set_up_logs(levels)
    except ValueError as error:
        fail(f"{option}: {error}")


class Output(click.Choice[str]):
    """One of the forms, or of a command's own; also by the words of others for the form for people."""

    def __init__(self, forms: Sequence[str]) -> None:
        super().__init__(tuple(forms))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The form; ends with an error for what is none."""
        same = _SAME.get(value, value)
        return super().convert(same if same in self.choices else value, param, ctx)


def output(*further: str, forms: Sequence[str] = FORMS) -> Callable[[F], F]:
    """`-o/--output`: how what is found is shown; the first form is what it is without the option."""
    kind = Output((*forms, *further))
    return click.option(
        "-o", "--output", type=kind, default=forms[0], show_default=True, help="how it is shown"
    )


def written(form: str, value: object, text: Callable[[], str]) -> str:
    """`value` as JSON or YAML, or what `text` makes of it for people."""
    if form not in {"json", "yaml"}:
        return text()
    from isthmus.console.shown import show, show_yaml

    return show(value) if form == "json" else show_yaml(value)


REVISION = click.option(
    "-r", "--revision", default="", help="only Pilots of this revision; without it those of all"
)


def meshed(flags: Mapping[str, Any]) -> Meshed:
    """The Pilots that the flags of `cluster_options` and `REVISION` mean. Raises `KubeError`, `ValueError`."""
    return Meshed(flags["kubeconfig"], chosen(flags), flags["root"], flags.get("revision", ""))


def cluster_options(command: F) -> F:
    """Gives a command `--context` (several), `--all-contexts`, `--kubeconfig` and `--istio-namespace`."""
    return with_options(_CLUSTERS)(command)


def chosen(flags: Mapping[str, Any]) -> tuple[str, ...]:
    """The contexts that the flags mean; none: the current one. Raises `KubeError`, `ValueError`."""
    contexts: tuple[str, ...] = flags["contexts"]
    if not flags["all_contexts"]:
        return contexts
    if contexts:
        raise ValueError("--all-contexts stands without --context")
    from isthmus.console.control_plane import contexts_of

    return contexts_of(flags["kubeconfig"])
