"""`isthmus install`: the objects of a role, printed for kubectl or applied; and the settings they are made of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.citadel_installation import CHOICES
from isthmus.console.cli import ToldWhole
from isthmus.console.cli.into_cluster import apply_flags, into_cluster
from isthmus.console.cli.options import F, output
from isthmus.console.cli.options import written as shown_as
from isthmus.console.install.profiles import USUAL, about_profile, profile_names
from isthmus.console.render import fail, table

if TYPE_CHECKING:
    from isthmus.console.install.reading import Layer, Said
    from isthmus.console.install.settings import Installation
    from isthmus.console.installation import Documents

_WRONG = 2
"""As of a command that is not understood."""
_ABOUT = {
    "primary": "Pilot and Citadel, and the kinds that Pilot reads",
    "remote": "Citadel, and the names by which sidecars find another's Pilot",
    "gateway": "An Envoy for traffic from outside",
    "egress-gateway": "An Envoy by which traffic leaves",
    "eastwest": "An Envoy that lets in calls from other networks",
    "networks": "What such Envoys let in; once, where configuration is read",
    "secret-reader": "What Pilot needs to read the Secrets of one more namespace, or some of them",
    "remote-secrets": "What Pilot needs to find clusters in labelled Secrets (primary without --clusters-dir has it)",
    "gateway-api": "The kinds of the Gateway API, where a cluster has no release of them",
}

_CA = (
    "plugged-in: from Secret cacerts, for which Citadel waits; self-signed: a root that Citadel makes and "
    "keeps in istio-ca-secret; either: the first, if it is there. Usually either (primary), plugged-in (remote)"
)
_SHORT_CUTS: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    ("--cluster", "cluster", {}, "name of the cluster in the mesh"),
    ("--namespace", "namespace", {}, "of the control plane"),
    ("--revision", "revision", {}, "name of this control plane beside others of the cluster"),
    (
        "--in",
        "gatewayNamespace",
        {},
        "namespace of the gateway and its Secrets; without it that of the control plane",
    ),
    (
        "--secret",
        "readableSecrets",
        {"multiple": True},
        "Secret of that namespace that Pilot may read; without it all, but in the control plane's own namespace none",
    ),
    ("--network", "network", {}, "name of the cluster's network; without it the one flat network"),
    ("--image", "image", {}, "of all containers"),
    ("--trust-domain", "trustDomain", {}, "of all identities"),
    (
        "--pilot-trust-domain",
        "pilotTrustDomain",
        {},
        "of Pilot, where this cluster has one of its own (remote)",
    ),
    ("--domain", "domain", {}, "DNS domain of the clusters"),
    ("--access-log", "accessLog", {}, "file for Envoy's access log, such as /dev/stdout"),
    ("--clusters-dir", "clustersDir", {}, "directory of the node with the cluster registry (primary)"),
    (
        "--managed-gateways/--no-managed-gateways",
        "managedGateways",
        {"default": None},
        "whether Pilot may run an Envoy for each Gateway of the Gateway API, in any namespace (primary)",
    ),
    (
        "--pilot-address",
        "pilotAddresses",
        {"multiple": True},
        "IP address of Pilot's pod until Pilot, once it follows this cluster, writes it itself (remote)",
    ),
    (
        "--injection-url",
        "injectionURL",
        {},
        "https://HOST:PORT of a Pilot elsewhere that is asked for sidecars, instead of an injector there (remote)",
    ),
    (
        "--ca",
        "ca",
        {"type": click.Choice(CHOICES)},
        _CA,
    ),
    (
        "--renewals",
        "renewals",
        {"is_flag": True, "default": None},
        "open port 8061 of Citadel, where a certificate proves who asks",
    ),
    (
        "--account-secrets",
        "accountSecrets",
        {"multiple": True},
        "namespace in which Citadel keeps a Secret istio.ACCOUNT for each service account, as in 2018; *: in all",
    ),
    (
        "--vouch",
        "vouch",
        {"multiple": True},
        "CLUSTER=NAMESPACE,… or CLUSTER=*: for whom a cluster's word counts at Citadel, see isthmus run citadel",
    ),
    (
        "--layout",
        "layout",
        {"type": click.Choice(["together", "apart"])},
        "one Deployment and account for all, or one each",
    ),
)
"""Flags that stand for a value: the flag, the value, how click reads it, and its help."""
_INTO = click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="write a base of kustomize there instead of printing: a file each, and kustomization.yaml",
)


_ALSO = {"--namespace": ("-i", "--istio-namespace", "-n"), "--revision": ("-r",)}
"""By what other names some of them go."""


def settings_flags(command: F) -> F:
    """Gives a command all flags that say settings."""
    for flag, value, more, text in reversed(_SHORT_CUTS):
        command = click.option(*_ALSO.get(flag, ()), flag, value, help=text, **more)(command)
    return settings_files(command)


def settings_files(command: F) -> F:
    """Gives a command the flags by which settings come from elsewhere: profile, files, single values."""
    command = click.option(
        "--set", "sets", multiple=True, metavar="PATH=VALUE", help="one value, as controlPlane.replicas=2"
    )(command)
    command = click.option(
        "-f",
        "--filename",
        "--file",
        "files",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        help="settings file; the later ones win (docs/reference/installation.md)",
    )(command)
    return click.option("--profile", "profile_name", help=f"where to begin: {', '.join(profile_names())}")(
        command
    )


def settings_from_flags(flags: dict[str, Any], *before: Layer) -> Installation:
    """The settings that those flags say; ends with all that is wrong with them."""
    from isthmus.console.install.reading import InvalidInstallation

    try:
        return _settings(flags, *before)
    except InvalidInstallation as error:
        fail("\n".join(error.lines), _WRONG)


def from_files(flags: dict[str, Any]) -> Said:
    """What `settings_files` say; ends with all that cannot be read of it."""
    from isthmus.console.install.reading import InvalidInstallation

    try:
        return _from_files(flags)
    except InvalidInstallation as error:
        fail("\n".join(error.lines), _WRONG)


def _from_files(flags: dict[str, Any]) -> Said:
    from isthmus.console.install.reading import Said, assignment, file_layer, profile

    files = [_without_profile(file_layer(path, _text(path))) for path in flags["files"]]
    named = [name for _, name in files if name is not None]
    first = profile(flags["profile_name"] or (named[-1] if named else USUAL))
    return Said((first, *(layer for layer, _ in files)), tuple(assignment(each) for each in flags["sets"]))


def _settings(flags: dict[str, Any], *before: Layer) -> Installation:
    from isthmus.console.install.reading import Layer, settings

    said = _from_files(flags)
    own = [
        Layer(flag.partition("/")[0], {value: list(word) if isinstance(word, tuple) else word}, is_flag=True)
        for flag, value, _, _ in _SHORT_CUTS
        if (word := flags.get(value.lower(), flags.get(value))) not in (None, ())
    ]
    return settings([*before, *said.layers], said.sets, own)


def _without_profile(layer: Layer) -> tuple[Layer, str | None]:
    spec = dict(layer.spec)
    name = spec.pop("profile", None)
    return layer._replace(spec=spec), None if name is None else str(name)


def _text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text()
    except UnicodeDecodeError:
        fail(f"{path}: is no text")


@click.group("install", cls=ToldWhole)
def command() -> None:
    """Print the objects of a role: `isthmus install primary --cluster east | kubectl apply -f -`.

    With --apply they are applied instead, what an earlier one had and this one lacks is taken away, and the command
    waits until all is ready; --dry-run shows what that would change. Secret cacerts is made from what isthmus ca init
    writes.
    """


def _role(name: str, about: str) -> click.Command:
    def run(**flags: Any) -> None:
        from isthmus.console.install.reading import InvalidInstallation
        from isthmus.console.installation import documents, dump

        installation = settings_from_flags(flags)
        try:
            objects = documents(name, installation)
        except InvalidInstallation as error:
            fail("\n".join(error.lines), _WRONG)
        if flags["applied"] or flags["dry_run"]:
            if flags["output_dir"]:
                raise click.UsageError(
                    "--output-dir: writes files, and what is applied is not what they say then"
                )
            from isthmus.console.install.applying import Role

            into_cluster(Role(name, installation), objects, flags)
        elif flags["output_dir"]:
            _write(flags["output_dir"], name, objects)
        else:
            click.echo(dump(objects), nl=False)

    return click.command(name, help=f"{about}.")(_INTO(apply_flags(settings_flags(run))))


def _write(folder: Path, role: str, objects: Documents) -> None:
    from isthmus.console.install.kustomization import write_base
    from isthmus.console.install.refusals import CannotInstall
    from isthmus.console.installation import dump

    try:
        click.echo(write_base(folder, role, objects, dump), err=True)
    except CannotInstall as error:
        fail("\n".join(error.lines), _WRONG)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


for _name, _about in _ABOUT.items():
    command.add_command(_role(_name, _about))


@command.command("profiles")
@output()
def profiles(output: str) -> None:
    """The profiles: settings that go together."""
    found = {name: about_profile(name) for name in profile_names()}
    click.echo(shown_as(output, found, lambda: table(("PROFILE", "WHAT FOR"), found.items())))


@command.command("settings")
@settings_flags
def settings_shown(**flags: Any) -> None:
    """The settings that profile, files and flags make together, as a file."""
    from isthmus.console.install.reading import Layer, written
    from isthmus.console.installation import UNNAMED
    from isthmus.console.shown import show_yaml

    click.echo(show_yaml(written(settings_from_flags(flags, Layer("", {"cluster": UNNAMED})))))
