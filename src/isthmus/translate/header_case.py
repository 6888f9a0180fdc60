"""Names of HTTP/1.1 headers as people wrote them (`preserveHttp1HeaderCase`), where Envoy else writes lower case.

Both ends must keep them: those of requests are kept by who took them, those of answers by the upstream that gave them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from isthmus.envoy.types import (
    Cluster,
    Http1ProtocolOptions,
    PreserveCaseFormatterConfig,
    UpstreamHttpProtocolOptions,
)
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.translate import names, proto
from isthmus.translate.upstream_protocol import HTTP_OPTIONS

_NO_HTTP = (
    f"{names.Direction.OUTBOUND_UDP.value}|",
    f"{names.Direction.INBOUND_UDP.value}|",
    names.BLACK_HOLE,
)


def keep_case(options: Http1ProtocolOptions) -> None:
    """Lets connections with these options keep it."""
    formatter = options.header_key_format.stateful_formatter
    formatter.name = "envoy.http.stateful_header_formatters.preserve_case"
    formatter.typed_config.CopyFrom(proto.any_of(PreserveCaseFormatterConfig()))


class HeaderCase:
    """Lets upstreams keep it, for those proxies alone that ask for it: others share upstreams without."""

    def __init__(self) -> None:
        self.kept: Memo[Versioned] = Memo()

    def keep(self, made: Iterable[Versioned]) -> Iterator[Versioned]:
        """`made`, those that may be spoken to in HTTP/1.1 keep it."""
        for one in made:
            yield self.kept.get((one,), "", partial(_keeping, one))


def _keeping(one: Versioned) -> Versioned:
    if one.name.startswith(_NO_HTTP):
        return one
    upstream = Cluster.FromString(one.body)
    options = UpstreamHttpProtocolOptions()
    if HTTP_OPTIONS in upstream.typed_extension_protocol_options:
        options.ParseFromString(upstream.typed_extension_protocol_options[HTTP_OPTIONS].value)
    if options.HasField("use_downstream_protocol_config"):
        keep_case(options.use_downstream_protocol_config.http_protocol_options)
    elif options.explicit_http_config.HasField("http2_protocol_options"):
        return one
    else:
        keep_case(options.explicit_http_config.http_protocol_options)
    upstream.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(proto.any_of(options))
    return proto.sealed(upstream)
