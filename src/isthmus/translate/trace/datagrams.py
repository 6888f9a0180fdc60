"""The way of a datagram: to the listener for its service, and from an endpoint's sidecar to the application."""

from __future__ import annotations

from isthmus.envoy.types import HttpConnectionManager, Listener, UdpProxyConfig, UdpRoute
from isthmus.kit.ip import authority
from isthmus.model.names import Hostname
from isthmus.translate.names import TUNNEL_INBOUND, inbound_udp, outbound_udp
from isthmus.translate.trace.call import Call, Request, Untraceable
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.steps import (
    Action,
    Branch,
    Closed,
    EndpointShare,
    Forward,
    ListenerStep,
    Trace,
    UpstreamShare,
)
from isthmus.translate.trace.transport import ending_at, refusal
from isthmus.translate.trace.upstream_view import Sent, upstream_share

_PROXY = "UdpProxyConfig"


def leaving(held: Held, call: Call) -> Trace:
    """What becomes of a datagram that the application sends. Raises `Untraceable`."""
    named = (held.listeners.get(str(outbound_udp(call.port, Hostname(host)))) for host in call.hosts)
    listener = next((each for each in named if each is not None), None)
    if listener is None:
        where = EndpointShare(
            address=authority(call.address or "(as the caller resolved it)", call.port), share=100.0
        )
        whole = UpstreamShare(name="past the proxy", share=100.0, kind="ORIGINAL_DST", endpoints=(where,))
        return _ended(call, None, Forward(upstreams=(whole,)))
    proxy = _proxy_of(listener)
    if proxy is None:
        raise Untraceable(f"listener {listener.name}: it has no udp_proxy")
    upstream = UdpRoute.FromString(proxy.matcher.on_no_match.action.typed_config.value).cluster
    tunnel = proxy.tunneling_config
    path = (
        f"/.well-known/masque/udp/{tunnel.target_host}/{tunnel.default_target_port}/"
        if tunnel.target_host
        else ""
    )
    share = upstream_share(held, upstream, 100.0, Sent(call, Request(host=tunnel.proxy_host, path=path)))
    places = [listener.address, *(each.address for each in listener.additional_addresses)]
    place = next(
        (
            each.socket_address
            for each in places
            if (":" in each.socket_address.address) == (":" in call.address)
        ),
        listener.address.socket_address,
    )
    step = ListenerStep(
        listener=listener.name,
        chain="",
        why=f"led to {authority(place.address, place.port_value)} by the agent",
        seen="datagrams",
        filters=("udp_proxy",),
    )
    return _ended(call, step, Forward(upstreams=(share,)))


def arriving(held: Held, call: Call) -> Trace:
    """What the sidecar beside an endpoint does with a tunnel for `call.request`. Raises `Untraceable`."""
    listener = held.listeners.get(TUNNEL_INBOUND)
    if listener is None or call.request is None:
        return _ended(call, None, Closed(why=f"there is no listener {TUNNEL_INBOUND}"))
    (chain,) = listener.filter_chains
    step = ListenerStep(
        listener=listener.name, chain="any", why="by its own socket", seen="TLS", tls=ending_at(chain)
    )
    if refused := refusal(step.tls, call.hello):
        return _ended(call, step, Closed(why=f"the TLS handshake fails: {refused}"))
    for host in _manager_of(listener).route_config.virtual_hosts:
        for route in host.routes:
            if any(each.string_match.exact == call.request.path for each in route.match.headers):
                share = upstream_share(held, route.route.cluster, 100.0, Sent(call, call.request))
                return _ended(call, step, Forward(upstreams=(share,)))
    return _ended(call, step, Closed(why=f"no service there is {call.request.path}"))


def tunnels_end(held: Held, call: Call) -> bool:
    """Whether a tunnel for what `call` is for ends there: for its request, else for the port that is called."""
    if call.request is not None:
        return not any(isinstance(each.action, Closed) for each in arriving(held, call).branches)
    listener = held.listeners.get(TUNNEL_INBOUND)
    return listener is not None and any(
        route.route.cluster == inbound_udp(call.port)
        for host in _manager_of(listener).route_config.virtual_hosts
        for route in host.routes
    )


def _manager_of(listener: Listener) -> HttpConnectionManager:
    (chain,) = listener.filter_chains
    return HttpConnectionManager.FromString(chain.filters[-1].typed_config.value)


def _proxy_of(listener: Listener) -> UdpProxyConfig | None:
    for each in listener.listener_filters:
        if each.typed_config.type_url.endswith(_PROXY):
            return UdpProxyConfig.FromString(each.typed_config.value)
    return None


def _ended(call: Call, step: ListenerStep | None, action: Action) -> Trace:
    return Trace(call=call, listener=step, branches=(Branch(share=100.0, route=None, action=action),))
