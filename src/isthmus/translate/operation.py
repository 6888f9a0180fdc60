"""What a request does, as its spans say: the service and the path by which the route is chosen. Istio's form."""

from __future__ import annotations

from isthmus.envoy.types import Route, RouteMatch
from isthmus.translate.names import UpstreamName


def operation(route: Route, rule: str, port: int) -> str:
    """`reviews.default.svc.cluster.local:9080/api*`; where a route leads to several services or none, by its `rule`."""
    upstream = UpstreamName.parse(route.route.cluster)
    where = f"{rule}:{port}" if upstream is None else f"{upstream.hostname}:{upstream.port}"
    return f"{where}{_path(route.match)}"


def _path(match: RouteMatch) -> str:
    match match.WhichOneof("path_specifier"):
        case "path":
            return match.path
        case "prefix":
            return f"{match.prefix}*"
        case "path_separated_prefix":
            return f"{match.path_separated_prefix}/*"
        case "safe_regex":
            return match.safe_regex.regex
    return "/*"
