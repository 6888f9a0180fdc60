"""The roots in webhooks are kept true, whatever becomes of others that may not be written."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from fakes.eventually import eventually
from fakes.pki import Pki
from isthmus.admission import bundles
from isthmus.admission.bundles import MUTATING, Answered, Belief, Bundles, WebhookConfiguration
from isthmus.admission.configurations import Serving, mutating
from isthmus.api.resource import Ref
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.errors import Forbidden

OWN, TAG = "istio-sidecar-injector", "istio-revision-tag-prod"


class Cluster:
    """A cluster in which our own webhooks may be written, and those of the tag may not."""

    def __init__(self):
        self.held = {name: mutating(Serving()) for name in (OWN, TAG)}
        self.written, self.tries = [], 0

    async def get(self, _, __, name):
        return self.held[name]

    async def request(self, _, path, *, body, content_type):
        assert content_type == "application/json-patch+json"
        if path.endswith(TAG):
            self.tries += 1
            raise Forbidden(403, "Forbidden", "may not patch")
        self.written.append(body[-1]["value"])


class Never:
    """It waits for an hour before anything is tried again."""

    def __init__(self, **_):
        pass

    def next_s(self):
        return 3600.0

    def reset(self):
        pass


@pytest.fixture
async def kept(monkeypatch):
    """What keeps the roots of both, the cluster, and what is to be believed."""
    monkeypatch.setattr(bundles, "Backoff", Never)
    cluster, belief = Cluster(), Belief()
    made = Bundles(cluster, Answered((), "default", "istio-system"), belief, Watchable(True))
    for name, each in cluster.held.items():
        made._seen(Ref(MUTATING.name, "", name), msgspec.convert(each, WebhookConfiguration))
    async with supervise(made._keep(), made._notice(belief.wanted)):
        yield made, cluster, belief


async def test_our_own_are_written_at_once_though_a_tag_may_not_be(kept):
    _, cluster, belief = kept
    for number, roots in enumerate((Pki("first").roots, Pki("second").roots), 1):
        belief.wanted.set(roots)

        async def are_written(number=number):
            return len(cluster.written) == number

        await eventually(are_written)


async def test_what_may_not_be_written_is_said_once_and_again_when_it_has_been_away(kept):
    made, cluster, belief = kept
    ref, tag = Ref(MUTATING.name, "", TAG), msgspec.convert(cluster.held[TAG], WebhookConfiguration)
    with capture_logs() as logs:

        async def is_said(times):
            return [each["event"] for each in logs].count("webhook roots not written") == times

        belief.wanted.set(Pki("first").roots)
        await eventually(lambda: is_said(1))
        tries = cluster.tries
        made._seen(ref, tag)
        await eventually(lambda: asyncio.sleep(0, cluster.tries > tries))
        assert await is_said(1)
        made._seen(ref, None)
        made._seen(ref, tag)
        await eventually(lambda: is_said(2))
