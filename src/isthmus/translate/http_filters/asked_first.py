"""Those of CUSTOM policies whose providers are asked before a request's token is looked at.

A provider may put the token there, or needs to see it as it came. Source: Istio's order of filters, as its issue 51173
and its pull request 46899 name it (ADR 0034). One about whose calls it depends on the token whether it is asked stands
after `jwt_authn`, in `authorization`: before, nothing is known of it, and nobody would be asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.envoy.types import EnvoyHttpFilter
from isthmus.translate.authorizing import sieves_at
from isthmus.translate.guard import Checkpoint
from isthmus.translate.http_filters.authorization import filters_of


def in_chain(point: Checkpoint) -> Iterator[EnvoyHttpFilter]:
    for each in sieves_at(point, requests=True):
        if each.before_tokens:
            yield from filters_of(each)
