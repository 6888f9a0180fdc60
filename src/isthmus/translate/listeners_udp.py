"""LDS for datagrams: a socket on loopback for each port of each service, to which the agent leads what is sent to it.

Datagrams do not say where they were meant to go once they are led elsewhere, so that no two services may
share a socket: its port, the door, follows from the service (`model/given.py`).
"""

from __future__ import annotations

from isthmus.envoy.types import Address, HttpCapsule, Listener, ListenerFilter, UdpProxyConfig, UdpRoute
from isthmus.kit import duration
from isthmus.model.service import Port, Service
from isthmus.model.workload import Workload
from isthmus.translate import names, proto
from isthmus.translate.access_log import access_logs
from isthmus.translate.conduct import Conduct
from isthmus.translate.destinations import Known
from isthmus.translate.tunnels import tunnels
from isthmus.translate.upstream_policy import Policy, with_usual

LOOPBACK = {4: "127.0.0.1", 6: "::1"}
LARGEST = 65_535
"""Bytes of a datagram: Envoy by itself drops those of more than 1,500 without a word."""

_PROXY = "envoy.filters.udp_listener.udp_proxy"
_CAPSULE = "envoy.filters.udp.session.http_capsule"
_ROUTE = "route"
_IDLE_S, _KEPT_S = 60.0, 86_400.0
_ATTEMPTS = 3
_WAITING_BYTES = 1 << 18
_WAITING_AT_DOOR_BYTES = 1 << 22
"""What may wait for Envoy to read it, of all callers; the kernel grants what `net.core.rmem_max` says."""

Taken = tuple[Service, Port, int]
"""A port whose datagrams are taken, and at which door."""


def name_of(taken: Taken) -> str:
    """The listener's name."""
    service, port, _ = taken
    return str(names.outbound_udp(port.number, service.key.hostname))


def is_bound(workload: Workload | None, taken: Taken) -> bool:
    """Whether the pod takes datagrams at that door itself, so that Envoy could not."""
    return workload is not None and taken[2] in workload.binds


def datagram_listener(here: Known, port: Port, door: int, conduct: Conduct) -> Listener:
    """The listener at `door`: each caller's session goes to one endpoint as long as it is not idle."""
    policy = with_usual(here.policy(port.number), conduct.usual_tcp)
    name = names.outbound_udp(port.number, here.service.key.hostname)
    proxy = UdpProxyConfig(
        stat_prefix=f"{name};",
        idle_timeout=proto.seconds(_idle_s(policy)),
        access_log=access_logs(conduct, inbound=False, http=False),
    )
    proxy.upstream_socket_config.max_rx_datagram_size.value = LARGEST
    action = proxy.matcher.on_no_match.action
    action.name = _ROUTE
    action.typed_config.CopyFrom(proto.any_of(UdpRoute(cluster=str(name))))
    if policy.consistent_hash is not None and policy.consistent_hash.use_source_ip:
        proxy.hash_policies.add(source_ip=True)
    if tunnels(here, policy):
        _through_a_tunnel(proxy, here, port)
    listener = Listener(name=str(name), traffic_direction="OUTBOUND")
    first, *more = (_datagrams_at(LOOPBACK[each], door) for each in conduct.families)
    listener.address.CopyFrom(first)
    for each in more:
        listener.additional_addresses.add().address.CopyFrom(each)
    listener.socket_options.add(description="SO_RCVBUF", level=1, name=8, int_value=_WAITING_AT_DOOR_BYTES)
    listener.udp_listener_config.downstream_socket_config.max_rx_datagram_size.value = LARGEST
    listener.listener_filters.append(ListenerFilter(name=_PROXY, typed_config=proto.any_of(proxy)))
    return listener


def _datagrams_at(loopback: str, door: int) -> Address:
    found = proto.address(loopback, door)
    found.socket_address.protocol = found.socket_address.UDP
    return found


def _through_a_tunnel(proxy: UdpProxyConfig, here: Known, port: Port) -> None:
    """The session is a stream to the endpoint's sidecar, which knows where the service listens there."""
    tunnel = proxy.tunneling_config
    tunnel.proxy_host = tunnel.target_host = here.service.owner.hostname
    tunnel.default_target_port = port.number
    tunnel.retry_options.max_connect_attempts.value = _ATTEMPTS
    # What comes before the stream is open waits for it.
    tunnel.buffer_options.max_buffered_bytes.value = _WAITING_BYTES
    session = proxy.session_filters.add(name=_CAPSULE)
    session.typed_config.CopyFrom(proto.any_of(HttpCapsule()))


def _idle_s(policy: Policy) -> float:
    """Zero means that idle connections are kept; nobody ends a session of datagrams, so that it ends some day."""
    asked = policy.tcp.idle_timeout
    return (duration.parse(asked) or _KEPT_S) if asked else _IDLE_S
