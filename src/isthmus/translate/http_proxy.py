"""The HTTP proxy beside an application (`proxyHttpPort`), for applications that are told of one and name hosts to it.

Requests with absolute URLs are routed as those that are captured; CONNECT leads bytes to the port that it names.
Source: Istio's MeshConfig reference, `proxyHttpPort`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.envoy.types import DirectResponseAction, Listener, Route, RouteAction, RouteMatch, VirtualHost
from isthmus.model.scope import View
from isthmus.translate import names, proto
from isthmus.translate.conduct import Conduct
from isthmus.translate.connection_manager import Face, Manager, connection_manager
from isthmus.translate.egress import unknown_upstream
from isthmus.translate.listener_parts import chain

_HERE = "127.0.0.1"
_HTTP = 80
"""The port that a URL without one means: Envoy routes by the host as it is written."""


def proxy_name(conduct: Conduct) -> str:
    """The name of the listener."""
    return names.listener(_HERE, conduct.http_proxy_port)


def proxy_listener(conduct: Conduct) -> Listener:
    """Where the application beside the proxy, and nobody else, sends such requests."""
    name = proxy_name(conduct)
    manager = Manager(
        face=Face.PROXY, stat_prefix=f"outbound_{name};", routes=names.HTTP_PROXY, conduct=conduct
    )
    return Listener(
        name=name,
        address=proto.address(_HERE, conduct.http_proxy_port),
        traffic_direction="OUTBOUND",
        filter_chains=[chain("", None, connection_manager(manager))],
    )


def at_port(host: VirtualHost, port: int, to: str) -> VirtualHost:
    """`host` for those who name its port as well, with a tunnel to the upstream `to`; empty: without."""
    made = VirtualHost()
    made.CopyFrom(host)
    made.domains[:] = _with_port(host.domains, port)
    if to:
        made.routes.insert(0, _tunnel(to))
    return made


def _with_port(domains: Iterable[str], port: int) -> Iterator[str]:
    for domain in domains:
        yield f"{domain}:{port}"
        if port == _HTTP:
            yield domain


def unknown_hosts(view: View) -> VirtualHost:
    """Hosts that nobody knows go where their names lead, as no address was meant; or they are refused."""
    if not view.allows_unknown:
        refused = DirectResponseAction(status=502)
        matches = (RouteMatch(connect_matcher={}), RouteMatch(prefix="/"))
        routes = [Route(name="block_all", match=match, direct_response=refused) for match in matches]
        return VirtualHost(name="block_all", domains=["*"], routes=routes)
    to = unknown_upstream(view)
    tunnel = names.HTTP_PROXY if to == names.PASSTHROUGH else to
    by_request = names.DYNAMIC_DNS if view.resolves_unknown else tunnel
    action = RouteAction(cluster=by_request, timeout=proto.seconds(0))
    route = Route(name="allow_any", match=RouteMatch(prefix="/"), route=action)
    return VirtualHost(name="allow_any", domains=["*"], routes=[_tunnel(tunnel), route])


def _tunnel(to: str) -> Route:
    """What CONNECT asks for: from there on bytes, whatever they are, so that no rules for requests hold."""
    action = RouteAction(cluster=to, timeout=proto.seconds(0))
    action.upgrade_configs.add(upgrade_type="CONNECT").connect_config.SetInParent()
    return Route(name="tunnel", match=RouteMatch(connect_matcher={}), route=action)
