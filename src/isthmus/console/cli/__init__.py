"""The `isthmus` command. Each subcommand is a module, imported only when it is asked for."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from isthmus.console.render import fail
from isthmus.kit import garbage

# The order in which help shows them: what a newcomer wants first.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Two clusters, one mesh, red stars: the whole story on this machine"),
    "lab": ("lab", "Kubernetes clusters in network namespaces, step by step"),
    "install": ("install", "The control plane, a remote cluster or a gateway: print or apply them"),
    "uninstall": ("uninstall", "Take away what install --apply put into a cluster"),
    "ca": ("ca", "The root of trust: make it, look at it"),
    "trust": ("trust", "Whom the mesh believes: exchange roots with other meshes"),
    "kube-inject": ("inject", "Put sidecars into manifests"),
    "kube-uninject": ("uninject", "Take sidecars out of manifests again"),
    "injection": ("injection", "Who puts sidecars into pods, and whether a pod would have one"),
    "revision": (
        "revision",
        "Control planes side by side in one cluster: which there are, and who asks for them",
    ),
    "clusters": ("clusters", "The clusters of the mesh: list, check, add"),
    "check": ("check", "Whether clusters are such that a mesh runs over them"),
    "proxy": ("proxy", "The Envoys of the mesh: status, config"),
    "wait": ("wait", "Until proxies hold what was written, in all clusters"),
    "dashboard": ("dashboard", "Pages of the mesh in a browser: Pilot, an Envoy, Prometheus, Grafana, Kiali"),
    "admin": ("admin", "The programs of the control plane: how much they log"),
    "bug-report": ("bug_report", "One archive with all that is to be known of a mesh, without its secrets"),
    "validate": ("validate", "What is wrong with objects, each by itself"),
    "analyze": ("analyze", "What is wrong or doubtful in the configuration"),
    "explain": ("explain", "Where a call goes, and why"),
    "describe": ("describe", "What the mesh makes of a pod or a Service"),
    "authz": ("authz", "Who may call whom: check a call, and by which rule"),
    "translate": ("translate", "Manifests in, Envoy configuration out, without a cluster"),
    "diff": ("diff", "What of proxies' configuration a change of manifests changes"),
    "convert": ("convert", "RouteRules and other kinds of 2018 in, today's out"),
    "options": ("shared", "The options that commands share, and what holds where they are not given"),
    "version": ("version", "Which releases this command, Pilot and the Envoys are of"),
    "completion": ("completion", "What bash, zsh or fish must know to complete commands"),
    "run": ("run", "Run a part of the mesh: pilot, citadel"),
    "agent": ("agent", "What runs beside a workload: the sidecar's agent, capture, requests to Envoy"),
}


ALSO: dict[str, tuple[str, ...]] = {
    "proxy-status": ("proxy", "status"),
    "ps": ("proxy", "status"),
    "proxy-config": ("proxy", "config"),
    "pc": ("proxy", "config"),
    "remote-clusters": ("clusters", "list"),
    "create-remote-secret": ("clusters", "secret"),
    "dash": ("dashboard",),
    "d": ("dashboard",),
    "x": (),
    "exp": (),
    "experimental": (),
    "precheck": ("check",),
    "verify-install": ("check",),
    "istiod": ("admin",),
    "envoy-stats": ("proxy", "stats"),
    "es": ("proxy", "stats"),
    "check-inject": ("injection", "check"),
    "injector": ("injection",),
    "internal-debug": ("admin", "debug"),
    "tag": ("revision", "tag"),
    "upgrade": ("install",),
    "manifest generate": ("install",),
    "profile list": ("install", "profiles"),
    "config list": ("options",),
}
"""What those who know istioctl type, one word or two, and what it stands for here. Help does not list it."""

_AMBIENT = "there is no ambient mode here: each pod has its sidecar, see isthmus proxy"
HINTS: dict[str, str] = {
    "config": "isthmus options has what istioctl x config list shows",
    "manifest": "isthmus install ROLE prints manifests, --dry-run what they would change",
    "profile": "isthmus install profiles lists them",
    "operator": "isthmus install ROLE --apply needs none",
    "metrics": "isthmus proxy stats POD shows what an Envoy counts, isthmus dashboard grafana rates over time",
    "workload": "a machine joins by a WorkloadGroup that it names to isthmus agent sidecar",
    "add-to-mesh": "kubectl label namespace NAME istio-injection=enabled, or isthmus kube-inject",
    "remove-from-mesh": "isthmus kube-uninject",
    **dict.fromkeys(("waypoint", "wp", "ztunnel-config", "zc"), _AMBIENT),
}
"""What those who know istioctl type and is not here, with what is."""

_BY_SIGNAL = 128
"""Shells add the number of the signal that ended a process."""


class ToldWhole(click.Group):
    """Commands whose first sentence is shown whole, however long it is; some known by other words `also`."""

    group_class = type  # groups within it are such, too

    def __init__(self, *given: Any, also: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(*given, **more)
        self._also = also or {}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, or that it stands for."""
        return super().get_command(ctx, self._also.get(cmd_name, cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One row a command."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(1000)) for name, each in commands if each])


class LazyGroup(click.Group):
    """Commands that cost nothing until they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ALSO:
            return self._stands_for(ctx, ALSO[cmd_name])
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"isthmus.console.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word means, or the first two. Raises `UsageError` where none is meant."""
        from difflib import get_close_matches

        two = " ".join(args[:2])
        if len(args) > 1 and two in ALSO:
            return two, self._stands_for(ctx, ALSO[two]), args[2:]
        first = args[0]
        if first.startswith("-") or ctx.resilient_parsing or self.get_command(ctx, first) is not None:
            return super().resolve_command(ctx, args)
        near = get_close_matches(first, [*COMMANDS, *ALSO], n=1)
        usual = f"did you mean {near[0]}?" if near else "isthmus --help lists them"
        raise click.UsageError(f"No such command '{first}' (hint: {HINTS.get(first, usual)}).", ctx)

    def _stands_for(self, ctx: click.Context, words: tuple[str, ...]) -> click.Command | None:
        found: click.Command | None = self
        for word in words:
            found = found.get_command(ctx, word) if isinstance(found, click.Group) else None
        return found

    def invoke(self, ctx: click.Context) -> object:
        """Runs a command, and ends as others do: by Ctrl-C with 130, with 141 where nobody reads on."""
        garbage.look_seldom()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(_BY_SIGNAL + signal.SIGINT)
        except BrokenPipeError:
            # What is still to be written is thrown away, or Python tells of it once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_BY_SIGNAL + signal.SIGPIPE)
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="isthmus")
def main() -> None:
    """One service mesh over Kubernetes clusters in public and private clouds."""
