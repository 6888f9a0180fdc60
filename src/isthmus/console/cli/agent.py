"""`isthmus agent`: what runs beside a workload, and how it is asked."""

from __future__ import annotations

import sys
from typing import Any

import click

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.options import set_up_logs_as
from isthmus.console.render import fail
from isthmus.kit import core_dumps
from isthmus.model.proxy import ProxyKind
from isthmus.settings import environment


@click.group("agent", cls=ToldWhole)
def command() -> None:
    """What runs beside a workload."""


def _run(kind: str, flags: dict[str, Any]) -> None:
    import asyncio

    from isthmus.envoy.binary import NoEnvoy
    from isthmus.kit.tasks import run_until_cancelled
    from isthmus.sidecar.agent import run_agent
    from isthmus.sidecar.environment import AgentFlags, InvalidEnvironment, agent_settings

    own = flags.pop("agent_log_level")
    set_up_logs_as("--agent-log-level" if own else "--log-level", own or flags["log_level"])
    try:
        settings = agent_settings(environment(), AgentFlags(kind=ProxyKind(kind), **flags))
    except InvalidEnvironment as error:
        fail(str(error))
    core_dumps.leave_none()
    try:
        asyncio.run(run_until_cancelled(run_agent(settings)))
    except (NoEnvoy, OSError, RuntimeError) as error:  # gRPC says RuntimeError for a port that is taken
        fail(str(error))


def _flags(function: Any) -> Any:
    for option in (
        click.option("--discovery-address", default="", help="host:port of Pilot"),
        click.option("--log-level", default="warning", show_default=True, help="of the agent and of Envoy"),
        click.option(
            "--component-log-level", default="", help="of parts of Envoy: upstream:debug,http:trace"
        ),
        click.option("--agent-log-level", default="", help="of the agent, where it is not Envoy's"),
        click.option("--concurrency", default=2, show_default=True, help="worker threads of Envoy"),
    ):
        function = option(function)
    return function


@command.command("sidecar")
@_flags
def sidecar(**flags: Any) -> None:
    """Run Envoy beside a workload, with its certificate."""
    _run("sidecar", flags)


@command.command("router")
@_flags
def router(**flags: Any) -> None:
    """Run Envoy as a gateway, with its certificate."""
    _run("router", flags)


@command.command("capture")
@click.option("--clean", is_flag=True, help="take the rules away")
@click.option("--include-outbound-ranges", default="*", show_default=True, help="CIDRs; * all, empty none")
@click.option("--exclude-outbound-ranges", default="", help="CIDRs")
@click.option("--include-outbound-ports", default="", help="ports, captured outside of those CIDRs as well")
@click.option("--exclude-outbound-ports", default="", help="ports")
@click.option("--include-inbound-ports", default="*", show_default=True, help="ports; * all, empty none")
@click.option("--exclude-inbound-ports", default="", help="ports")
@click.option("--exclude-interfaces", default="", help="names; what passes these is not captured")
@click.option("--virtual-interfaces", default="", help="names; what comes from there is what the pod calls")
@click.option("--mark", default=1337, show_default=True, help="mark of Envoy's own connections")
@click.option("--user", type=int, help="user of Envoy's own connections, instead of the mark")
@click.option(
    "--outbound-port", default=15001, show_default=True, help="where Envoy takes what the pod calls"
)
@click.option(
    "--inbound-port", default=15006, show_default=True, help="where Envoy takes what the pod is asked"
)
@click.option("--dns-port", default=0, help="of the agent, which answers the pod's DNS; 0: it does not")
@click.option(
    "--keeps-source", type=bool, default=False, help="show callers' addresses to the application, by TPROXY"
)
@click.option(
    "--datagrams", type=bool, default=True, show_default=True, help="lead those to services to Envoy"
)
@click.option("--dns-servers", default="", help="whose questions it answers; without, those of resolv.conf")
def capture(*, clean: bool, **flags: Any) -> None:
    """Lead the pod's connections into Envoy, by nftables."""
    import asyncio

    from isthmus.sidecar import nft
    from isthmus.sidecar.capture import InvalidCapture

    try:
        asyncio.run(nft.clean() if clean else nft.apply(_capture_settings(flags)))
    except (InvalidCapture, nft.CaptureFailed) as error:
        fail(str(error))


def _capture_settings(flags: dict[str, Any]) -> Any:
    from isthmus.sidecar import capture as rules
    from isthmus.sidecar.dns_upstream import read_resolvers

    if flags["keeps_source"] and flags["user"] is not None:
        raise rules.InvalidCapture("--keeps-source tells connections by marks (hint: leave --user out)")
    servers = tuple(filter(None, flags["dns_servers"].split(",")))
    if not servers:
        servers = read_resolvers().servers

    return rules.CaptureSettings(
        outbound_port=flags["outbound_port"],
        inbound_port=flags["inbound_port"],
        include_outbound_ranges=rules.ranges(flags["include_outbound_ranges"]),
        exclude_outbound_ranges=rules.excluded_ranges(flags["exclude_outbound_ranges"]),
        include_outbound_ports=rules.ports(flags["include_outbound_ports"]),
        exclude_outbound_ports=rules.ports(flags["exclude_outbound_ports"]),
        include_inbound_ports=rules.inbound_ports(flags["include_inbound_ports"]),
        exclude_inbound_ports=rules.ports(flags["exclude_inbound_ports"]),
        exclude_interfaces=rules.interfaces(flags["exclude_interfaces"]),
        virtual_interfaces=rules.interfaces(flags["virtual_interfaces"]),
        mark=flags["mark"],
        user=flags["user"],
        dns_port=flags["dns_port"],
        dns_servers=servers,
        keeps_source=flags["keeps_source"],
        datagrams=flags["datagrams"],
    )


@command.command("names")
def names() -> None:
    """Print what Pilot told the agent of this pod of names, and what short names are tried with."""
    from isthmus.console.shown import show
    from isthmus.sidecar.pod_names import PodTable

    try:
        click.echo(show(PodTable.here(environment())))
    except (OSError, ValueError) as error:
        fail(f"{error} (hint: does the agent answer this pod's DNS, and has it heard Pilot?)")


@command.command("request")
@click.argument("method", type=click.Choice(["GET", "POST"]))
@click.argument("path")
def request(method: str, path: str) -> None:
    """Ask the Envoy of this pod on its admin port: `isthmus agent request GET config_dump`."""
    import asyncio

    from isthmus.sidecar.request import RequestFailed
    from isthmus.sidecar.request import request as ask

    try:
        body = asyncio.run(ask(method, f"/{path.lstrip('/')}"))
    except RequestFailed as error:
        fail(str(error))
    sys.stdout.buffer.write(body)


@command.command("machine")
def machine() -> None:
    """Print what this pod sees of its machine, as JSON: the size of the packets that leave it whole."""
    from isthmus.console.shown import show
    from isthmus.sidecar.machine import machine as seen

    try:
        click.echo(show(seen()))
    except OSError as error:
        fail(str(error))


@command.command("wait")
def wait() -> None:
    """Return when the Envoy of this pod is ready."""
    import asyncio

    from isthmus.sidecar.request import RequestFailed, wait_until_ready

    try:
        asyncio.run(wait_until_ready())
    except RequestFailed as error:
        fail(str(error))
