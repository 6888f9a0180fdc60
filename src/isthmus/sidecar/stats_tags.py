"""How Envoy's names of statistics are taken apart into Prometheus labels; the labels are Istio's."""

from __future__ import annotations

import re


def stats_tags(domain: str, further: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """The tag specifiers of a mesh whose services end in `.svc.<domain>`.

    In each expression the outer group is what is cut out of the name, the inner one the label's value.
    Upstreams are called `outbound|9080|v1|reviews.default.svc.cluster.local`: only the domain, or a
    semicolon, tells where a name with dots ends. `further` labels stand in names as Istio's filters and plugins
    write them: `name.=.value;.;`.
    """
    host = rf"(?:\..+?\.svc\.{re.escape(domain)}|;)"
    return [
        {"tag_name": "cluster_name", "regex": rf"^cluster\.((.+?{host}?)\.)"},
        {"tag_name": "tcp_prefix", "regex": r"^tcp\.((?!rbac\.)(.*?)\.)\w+?$"},
        {"tag_name": "response_code", "regex": r"_rq(_(\d{3}))$"},
        {"tag_name": "response_code_class", "regex": r"_rq(_(\dxx))$"},
        {
            "tag_name": "http_conn_manager_listener_prefix",
            "regex": r"^listener(?=\.).*?\.http\.((.+?)\.)(?=downstream_)",
        },
        {"tag_name": "http_conn_manager_prefix", "regex": r"^http\.((.+?)\.)(?=downstream_|rq_|tracing|no_)"},
        {"tag_name": "listener_address", "regex": r"^listener\.((.+?)\.)(?=[a-z]+[_.])"},
        # What policies that are only tried would do: `rbac.istio_dry_run_deny_.shadow_denied`.
        {"tag_name": "authz_dry_run_action", "regex": r"rbac(\.istio_dry_run_(allow|deny)_)\."},
        {
            "tag_name": "authz_dry_run_result",
            "regex": r"istio_dry_run_(?:allow|deny)_(\.shadow_(allowed|denied))$",
        },
        *({"tag_name": each, "regex": rf"({re.escape(each)}\.=\.(.*?);\.;)"} for each in further),
    ]
