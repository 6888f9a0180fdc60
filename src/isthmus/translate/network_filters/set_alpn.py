"""set_filter_state: what a connection's upstream connections offer by ALPN instead of their usual."""

from __future__ import annotations

from isthmus.envoy.types import Filter, FilterStateValue, NetworkSetFilterState
from isthmus.translate import proto

NAME = "envoy.filters.network.set_filter_state"

# Source: Envoy's "Well Known Filter State Objects".
_KEY = "envoy.network.application_protocols"


def offer(protocols: tuple[str, ...]) -> Filter:
    """Upstream connections for this one offer `protocols`."""
    value = FilterStateValue(object_key=_KEY, shared_with_upstream=FilterStateValue.ONCE)
    value.format_string.text_format_source.inline_string = ",".join(protocols)
    config = NetworkSetFilterState(on_new_connection=[value])
    return Filter(name=NAME, typed_config=proto.any_of(config))
