"""`isthmus clusters join`, `leave`, `rotate`: a cluster comes, goes, and is read by another credential."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli.durations import DURATION
from isthmus.console.cli.install import from_files, settings_files
from isthmus.console.cli.life_options import life_options
from isthmus.console.cli.options import KUBECONFIG, ROOT, F, output, with_options, written
from isthmus.console.membership.told import CannotGoOn, State, Steps, Told
from isthmus.console.reader_account import READER
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.membership.entries import Entries
    from isthmus.console.membership.mesh import Member, Primary
    from isthmus.kube.client import Client

    Run = Callable[[Member, tuple[Primary, ...]], Steps]

_PATH = click.Path(path_type=Path)
_PLACES = (
    click.option("--context", help="kubeconfig context of the cluster itself"),
    click.option(
        "--primary",
        "contexts",
        multiple=True,
        help="kubeconfig context of a cluster that Pilot runs in, or several; usually the current one",
    ),
    KUBECONFIG,
    ROOT,
    click.option(
        "--store",
        type=click.Choice(["secret", "object"]),
        default="secret",
        show_default=True,
        help="where entries are beside Pilot: in labelled Secrets, or in Cluster objects of the cluster registry API",
    ),
    click.option(
        "--directory",
        type=_PATH,
        help="Pilot's registry directory, in the place of a store beside Pilot",
    ),
    click.option(
        "--pilot-endpoint",
        default="istio-pilot.istio-system:15012",
        show_default=True,
        help="address:port of Pilot, as the directory's other entries say it",
    ),
    click.option(
        "--timeout", "limit_s", type=DURATION, default="2m", show_default=True, help="for Pilot to follow"
    ),
    output(),
)
_MARKS = {
    State.DONE: "done",
    State.AS_IT_WAS: "-",
    State.WOULD: "would",
    State.LEFT: "left",
    State.DOUBTFUL: "doubt",
}


def place_options(command: F) -> F:
    """Gives a command the flags by which it finds the cluster, and those whose Pilots are told."""
    return with_options(_PLACES)(command)


@click.command("join")
@click.argument("name")
@place_options
@click.option(
    "--server",
    default="",
    help="address of its API server as Pilot reaches it; else the kubeconfig's",
)
@click.option(
    "--network", default="", help="name of its network, where that is one of its own: with a gateway into it"
)
@click.option(
    "--ca",
    type=_PATH,
    help="directory with the mesh's root; without it that which Pilot's Citadel made",
)
@click.option("--image", default="", help="of its parts; usually that of Pilot")
@click.option(
    "--injection-url",
    default="",
    help="https://HOST:PORT of a Pilot elsewhere that it asks for sidecars, instead of an injector of its own",
)
@settings_files
@click.option(
    "--keep-parts", "keeps_parts", is_flag=True, help="apply nothing: its parts are there, by another hand"
)
@click.option("--force-conflicts", "force", is_flag=True, help="take over fields of parts that others set")
@click.option(
    "--exchange-roots",
    "exchanges_roots",
    is_flag=True,
    help="where the cluster has a root and a trust domain of its own: have both believe each other",
)
@click.option(
    "--skip-checks", "skips_checks", is_flag=True, help="do not look at the clusters as isthmus check does"
)
@click.option("--dry-run", "dry", is_flag=True, help="say what would be done")
@life_options
def join_(name: str, **flags: Any) -> None:
    """Make a cluster one of the mesh: `isthmus clusters join west --context west`.

    It gets a CA under the mesh's root, Citadel, and the account by which Pilot reads it; each Pilot gets an entry with
    a credential. What is there already stays, so that the command can be given again. Then the clusters are looked at
    as isthmus check does. Ends with 79 where something was left or found that somebody should look at.
    """
    from isthmus.console.membership.join import Joining, join

    flags["said"] = from_files(flags)
    chosen = {key: flags[key] for key in Joining.__struct_fields__}
    _run(name, flags, lambda member, of: join(Joining(**chosen), member, of))


@click.command("leave")
@click.argument("name")
@place_options
@click.option("--dead", "is_dead", is_flag=True, help="try nothing in the cluster itself")
@click.option(
    "--keep-parts", "keeps_parts", is_flag=True, help="leave Citadel and the reader's account in it"
)
@click.option("--dry-run", "dry", is_flag=True, help="say what would be done")
def leave_(name: str, **flags: Any) -> None:
    """Take a cluster out of the mesh: its endpoints first, then what a join put into it.

    Where it does not answer, what is in it stays, and is said with the command for later.
    """
    from isthmus.console.membership.leave import Leaving, leave

    chosen = {key: flags[key] for key in ("is_dead", "keeps_parts", "dry", "limit_s")}
    _run(name, flags, lambda member, of: leave(Leaving(**chosen), member, of))


@click.command("rotate")
@click.argument("name")
@place_options
@life_options
def rotate_(name: str, **flags: Any) -> None:
    """Have Pilot read a cluster by another credential, and take the old one back once it does."""
    from isthmus.console.membership.rotate import rotate

    _run(name, flags, lambda member, of: rotate(member, of, flags["life_s"], flags["limit_s"]))


@click.command("secret")
@click.option("--context", help="kubeconfig context of the cluster that is to be read")
@KUBECONFIG
@ROOT
@click.option(
    "--name", default="", help="of the cluster in the mesh; else the UID of its namespace kube-system"
)
@click.option(
    "--server", default="", help="address of its API server as Pilot reaches it; else the kubeconfig's"
)
@click.option(
    "--tls-server-name", "server_name", default="", help="for its certificate, where that is another"
)
@click.option(
    "--service-account",
    "account",
    default="",
    help=f"by which it is read; else {READER}, of --type config istiod",
)
@click.option(
    "--create-service-account/--no-create-service-account",
    "makes_account",
    default=True,
    show_default=True,
    help="make that account, where it is not there",
)
@click.option("--secret-name", "secret", default="", help="of the Secret with its token; else one is made")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["remote", "config"]),
    default="remote",
    show_default=True,
    help="remote: a cluster besides others; config: that of a control plane which runs outside of it",
)
@click.option(
    "--life", "life_s", type=DURATION, help="how long the token lives; without it until it is deleted"
)
@click.option(
    "--auth-type",
    type=click.Choice(["bearer-token", "plugin"]),
    default="bearer-token",
    show_default=True,
    help="by what who reads it proves itself: the account's token, or an auth provider of its own",
)
@click.option("--auth-plugin-name", "plugin", default="", help="of that auth provider (--auth-type plugin)")
@click.option(
    "--auth-plugin-config",
    "plugin_config",
    multiple=True,
    metavar="KEY=VALUE[,…]",
    help="for that auth provider; several may be given",
)
def secret_(context: str | None, kubeconfig: Path | None, root: str, kind: str, **flags: Any) -> None:
    """Print the Secret by which a control plane reads a cluster: `… | kubectl --context east apply -f -`.

    It is what istioctl create-remote-secret prints. For a mesh of Isthmus join does more, with less.
    """
    import asyncio

    from isthmus.console.control_plane import access_to
    from isthmus.console.membership.remote_secret import RemoteSecret, remote_secret
    from isthmus.kube.client import Client

    _check_plugin(flags)
    asked = RemoteSecret(namespace=root, is_config=kind == "config", **flags)

    async def printed() -> str:
        async with Client(access_to(kubeconfig, context)) as client:
            return await remote_secret(client, asked)

    try:
        click.echo(asyncio.run(printed()), nl=False)
    except (KubeError, CannotGoOn) as error:
        fail(str(error))


def _check_plugin(flags: dict[str, Any]) -> None:
    """Takes the type out of the flags, and makes a mapping of the plugin's settings; ends where they do not agree."""
    is_plugin = flags.pop("auth_type") == "plugin"
    pairs = [pair.partition("=") for text in flags["plugin_config"] for pair in text.split(",")]
    flags["plugin_config"] = {key: value for key, _, value in pairs}
    if is_plugin and not flags["plugin"]:
        raise click.UsageError("--auth-type plugin needs --auth-plugin-name")
    if not is_plugin and (flags["plugin"] or pairs):
        raise click.UsageError("--auth-plugin-name and --auth-plugin-config are for --auth-type plugin")
    if any(not equals for _, equals, _ in pairs):
        raise click.UsageError("--auth-plugin-config: is not KEY=VALUE")
    if is_plugin:
        click.echo(
            "warning: auth providers are no more in Kubernetes since 1.26: Istio's Pilot takes those that it was "
            "built with, ours none (an exec plugin in a kubeconfig, and --remote-secrets-may exec, does the same)",
            err=True,
        )


COMMANDS = (join_, leave_, rotate_, secret_)


def _run(name: str, flags: dict[str, Any], steps: Run) -> None:
    import asyncio

    told: list[Told] = []
    why = ""
    try:
        asyncio.run(_tell(name, flags, steps, told))
    except (KubeError, CannotGoOn, ValueError) as error:
        why = str(error)
    if flags["output"] in {"json", "yaml"}:
        click.echo(written(flags["output"], {"steps": told, "error": why}, str))
    if why:
        fail(why)
    if any(each.state is State.LEFT for each in told):
        sys.exit(79)


async def _tell(name: str, flags: dict[str, Any], steps: Run, told: list[Told]) -> None:
    from isthmus.console.control_plane import access_to, contexts_of
    from isthmus.console.membership.entries import DirectoryEntries, ObjectEntries, SecretEntries
    from isthmus.console.membership.mesh import Member, Places, primaries
    from isthmus.kube.client import Client

    kubeconfig: Path | None = flags["kubeconfig"]
    contexts = flags["contexts"] or contexts_of(kubeconfig)[:1]
    if flags["context"] is None and not flags.get("is_dead"):
        raise CannotGoOn("--context: is missing (hint: the kubeconfig context of the cluster itself)")
    if flags["context"] in contexts:
        hint = "hint: --primary CONTEXT, of a cluster that Pilot runs in"
        raise CannotGoOn(f"--context: {flags['context']} would be its own Pilot's ({hint})")

    def entries(client: Client) -> tuple[Entries, bool]:
        if flags["directory"] is not None:
            return DirectoryEntries(flags["directory"], name, flags["pilot_endpoint"]), False
        made = ObjectEntries if flags["store"] == "object" else SecretEntries
        return made(client, flags["root"], name), True

    own = access_to(kubeconfig, flags["context"] or contexts[0])
    places = Places(kubeconfig, contexts, flags["root"])
    found = primaries(places, entries, need_pilot="is_dead" not in flags)  # who leaves may go without one
    async with Client(own) as client, found as of:
        member = Member(name, flags["context"] or "", client, flags["root"])
        async for each in steps(member, of):
            told.append(each)
            if flags["output"] in {"table", "wide"}:
                click.echo(_line(each))


def _line(each: Told) -> str:
    more = {"why": each.why, "mend": each.mend}
    lines = "".join(f"\n{'':17}{name}: {text}" for name, text in more.items() if text)
    return f"{_MARKS[each.state]:<6}{each.step:<10} {each.cluster}: {each.seen}{lines}"
