"""Tokens for clusters: renewed by the account itself in time, tried before they count, kept for the next Pilot."""

from __future__ import annotations

import asyncio
import base64
import json

import msgspec
import pytest

from fakes.checked_clusters import NOW, OLD_PEM
from fakes.eventually import eventually
from fakes.scripted_api import ScriptedApi
from fakes.two_clusters import World
from isthmus.api import kind_named
from isthmus.api.resource import Ref
from isthmus.console.installation import Installation, documents
from isthmus.discovery.access_renewal import AccessRenewal, Renewals
from isthmus.discovery.cluster_watcher import ClusterState, WatcherSettings
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.kept_tokens import NAME, KeptTokens
from isthmus.discovery.registry import Claims, ClusterSpec, FixedSource, Registry
from isthmus.kit.clock import ManualClock, SystemClock
from isthmus.kit.redacted import Redacted
from isthmus.kit.tasks import supervise
from isthmus.kube.account_token import AccountToken, Bond, read_token, request_token
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden
from isthmus.kube.kubeconfig import Access, Anonymous, ClientCertificate, Token
from isthmus.kube.watch import WatchSettings
from isthmus.model.findings import Severity
from unit.ca.installed import SYSTEM, installed

READER, PILOT = "istio-reader-service-account", "istio-pilot-service-account"
FILES = Installation(cluster="west", clusters_dir="/etc/clusters", layout="apart")
QUICKLY = WatchSettings(turn_s=2.0, first_wait_s=0.02, longest_wait_s=0.5)
SOON = 0.0001
"""A share of their lives after which all tokens are due at once: real API servers give none less than ten minutes."""


@pytest.fixture
async def place(tmp_path, api_server):
    """A cluster with the accounts of Pilot and its reader, and the Secret in which tokens are kept."""
    async with installed(tmp_path, FILES) as found:
        kept = [each for each in documents("primary", FILES) if each["metadata"]["name"] == NAME]
        assert len(kept) == 1
        await found.apply(kept)
        yield found


async def first_token(place, anchor="access"):
    """What an administrator gives Pilot: a token of the reader that is good as long as a Secret is there."""
    secret = await place.make("secrets", "Secret", anchor, SYSTEM)
    bond = Bond("Secret", anchor, secret["metadata"]["uid"])
    async with Client(place.admin) as client:
        who = AccountToken(namespace=SYSTEM, account=READER)
        return (await request_token(client, who, 600, bond)).token


def spec_of(place, token):
    access = msgspec.structs.replace(place.admin, credentials=Token(token))
    return ClusterSpec(id="west", access=access, source="test", is_config=True)


async def kept_by(place):
    return KeptTokens(await place.access(SYSTEM, PILOT), SYSTEM)


async def kept_data(place):
    async with Client(place.admin) as client:
        return (await client.get(kind_named("Secret"), SYSTEM, NAME))["data"]


async def shown(renewal):
    return str.__str__((await renewal.proof()).token)


async def renewed(place, spec, kept, share=SOON):
    """A renewal that has renewed once."""
    renewal = AccessRenewal(spec, Renewals(kept, share), SystemClock())
    async with Client(spec.access, proof=renewal) as client, supervise(renewal.run(client)):
        await eventually(lambda: _is(renewal.life().renewed == 1 and not renewal.life().error))
    return renewal


async def _is(holds):
    return holds


async def test_a_token_is_renewed_by_its_own_account_and_kept_for_the_next_pilot(place):
    entry = await first_token(place)
    kept = await kept_by(place)
    before = await renewed(place, spec_of(place, entry), kept)
    life, token = before.life(), await shown(before)
    assert (life.kind, life.kept, life.bound_to) == ("token", True, "Secret access")
    assert life.account == f"system:serviceaccount:{SYSTEM}:{READER}"
    assert token != entry
    assert read_token(token).end >= read_token(entry).end
    after = AccessRenewal(spec_of(place, entry), Renewals(await kept_by(place)), SystemClock())
    assert await shown(after) == token
    assert after.life().kept


async def test_an_entry_that_is_written_anew_is_believed_by_itself(place):
    entry = await first_token(place)
    await renewed(place, spec_of(place, entry), await kept_by(place))
    another = await first_token(place, "another")
    after = AccessRenewal(spec_of(place, another), Renewals(await kept_by(place)), SystemClock())
    assert await shown(after) == another
    assert not after.life().kept


async def test_what_was_kept_and_has_ended_or_is_no_token_is_not_taken(place):
    entry = await first_token(place)
    await renewed(place, spec_of(place, entry), await kept_by(place))
    later = KeptTokens(await place.access(SYSTEM, PILOT), SYSTEM, ManualClock(4e9))
    assert await later.recall("west", entry) is None
    assert await later.recall("east", entry) is None
    kept = next(each for each in documents("primary", FILES) if each["metadata"]["name"] == NAME)
    (key,) = await kept_data(place)
    for wrong in (b"[]", b"\xff"):
        await place.apply([{**kept, "data": {key: base64.b64encode(wrong).decode()}}])
        assert await (await kept_by(place)).recall("west", entry) is None


async def test_pilots_of_two_revisions_share_what_they_keep_by_one_entry_and_lose_none_by_two(place):
    entry, other = await first_token(place), await first_token(place, "another")
    token = await shown(await renewed(place, spec_of(place, entry), await kept_by(place)))
    beside = await shown(await renewed(place, spec_of(place, other), await kept_by(place)))
    assert len(await kept_data(place)) == 2
    for one, kept in ((entry, token), (other, beside)):
        assert (
            await shown(AccessRenewal(spec_of(place, one), Renewals(await kept_by(place)), SystemClock()))
            == kept
        )


async def test_where_it_cannot_be_kept_it_is_renewed_and_that_is_a_finding(place):
    entry = await first_token(place)
    kept = KeptTokens(await place.access(SYSTEM, READER), SYSTEM)  # which may not read that Secret
    spec = spec_of(place, entry)
    renewal = AccessRenewal(spec, Renewals(kept, SOON), SystemClock())
    async with Client(spec.access, proof=renewal) as client, supervise(renewal.run(client)):
        await eventually(lambda: _is(renewal.life().renewed == 1 and renewal.life().error))
    assert await shown(renewal) != entry
    assert "renewed, but not kept: " in str(renewal.finding())


async def test_a_right_that_is_missing_is_told_with_its_mend_and_the_token_goes_on(place):
    entry = await first_token(place)
    role = next(
        each for each in documents("remote", FILES)
        if each["kind"] == "Role" and each["metadata"]["name"] == "istio-reader"
    )  # fmt: skip
    rules = [rule for rule in role["rules"] if rule["resources"] != ["serviceaccounts/token"]]
    assert len(rules) == len(role["rules"]) - 1
    await place.apply([{**role, "rules": rules}])
    spec = spec_of(place, entry)
    renewal = AccessRenewal(spec, Renewals(None, SOON), SystemClock())
    async with Client(spec.access, proof=renewal) as client, supervise(renewal.run(client)):
        await eventually(lambda: _is(renewal.finding() is not None))
    found = renewal.finding()
    assert found.severity is Severity.WARNING
    assert "is not renewed" in found.message
    assert "isthmus clusters rotate west" in found.message
    assert "isthmus install remote" in found.message
    assert await shown(renewal) == entry


async def test_pilot_renews_no_token_but_its_own(place):
    async with Client(await place.access(SYSTEM, READER)) as client:
        mine = AccountToken(namespace=SYSTEM, account=READER)
        assert read_token((await request_token(client, mine, 600)).token).account == READER
        for namespace, account in (
            (SYSTEM, PILOT),
            (SYSTEM, "istio-citadel-service-account"),
            ("default", "default"),
        ):
            with pytest.raises(Forbidden):
                await request_token(client, AccountToken(namespace=namespace, account=account), 600)


async def test_watches_go_on_while_tokens_are_renewed_and_what_is_revoked_leaves_the_last_that_was_known(
    place,
):
    entry = await first_token(place)
    world = World()
    settings = WatcherSettings(watch=QUICKLY, renewals=Renewals(await kept_by(place), SOON))
    source = FixedSource(spec_of(place, entry))
    fleet = Fleet(Registry((source,)), world.put, settings)
    async with supervise(fleet.run()):
        assert await fleet.synced(20)

        async def is_renewed():
            return fleet.status()[0].access.renewed >= 1

        await eventually(is_renewed)
        assert fleet.status()[0].state is ClusterState.SYNCED
        assert not fleet.findings()
        known = fleet.status()[0].objects
        await place.cluster.delete("secrets", SYSTEM, "access")

        async def is_refused():
            return fleet.status()[0].state is ClusterState.REFUSED

        await eventually(is_refused, 60)
        status = fleet.status()[0]
        assert status.objects == known
        assert "(hint: isthmus clusters rotate west)" in status.error
        assert not [change for change in world.changes if change.value is None]
        # And the way back: a new entry is tried beside, and taken over.
        source.claims.set(Claims((spec_of(place, await first_token(place, "new")),)))

        async def is_well():
            now = fleet.status()[0]
            return now.state is ClusterState.SYNCED and now.access.bound_to == "Secret new"

        await eventually(is_well)


def token(**claims):
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Token(Redacted(f"x.{body}.x"))


def of_account(**claims):
    return token(sub="system:serviceaccount:istio-system:reader", iat=NOW, exp=NOW + 3600, **claims)


async def test_a_new_token_that_is_not_believed_is_not_taken():
    async def answer(request):
        from aiohttp import web

        if request.method == "POST":
            status = {"token": "x.y.z", "expirationTimestamp": "2030-01-01T00:00:00Z"}
            return web.json_response({"status": status}, status=201)
        return web.json_response({"code": 401, "message": "Unauthorized"}, status=401)

    api = ScriptedApi(answer)
    async with api.serving():
        entry = of_account()
        spec = ClusterSpec(id="west", access=api.access(credentials=entry), source="test")
        clock = ManualClock(NOW + 3000)
        renewal = AccessRenewal(spec, Renewals(), clock)
        async with Client(spec.access, proof=renewal) as client, supervise(renewal.run(client)):
            await eventually(lambda: _is(renewal.life().error))
            assert "Unauthorized" in renewal.life().error
            assert await shown(renewal) == entry.token
            assert renewal.life().renewed == 0


async def test_a_token_is_left_alone_until_its_time_has_come():
    api = ScriptedApi()
    async with api.serving():
        spec = ClusterSpec(id="west", access=api.access(credentials=of_account()), source="test")
        clock = ManualClock(NOW)
        renewal = AccessRenewal(spec, Renewals(), clock)
        async with Client(spec.access, proof=renewal) as client, supervise(renewal.run(client)):
            await clock.advance(1500)
            await asyncio.sleep(0.05)
            assert not api.asked
            assert NOW + 1600 < renewal.life().renews <= NOW + 1800


@pytest.mark.parametrize(
    ("credentials", "ends", "severity"),
    [
        (token(exp=NOW + 3600), NOW + 3600, Severity.WARNING),
        (token(exp=NOW + 40 * 86_400), NOW + 40 * 86_400, None),
        (ClientCertificate(OLD_PEM, Redacted("key")), NOW - 86_400, Severity.ERROR),
        (of_account(), NOW + 3600, None),
        (token(), None, None),
        (token(sub="system:serviceaccount:istio-system:reader"), None, None),
        (Token(Redacted("opaque")), None, None),
        (Anonymous(), None, None),
        (ClientCertificate(b"none", Redacted("key")), None, None),
    ],
)
def test_what_will_end_and_cannot_be_renewed_is_a_finding(credentials, ends, severity):
    spec = ClusterSpec(
        id="west", access=Access(server="https://west", credentials=credentials), source="test"
    )
    renewal = AccessRenewal(spec, Renewals(), ManualClock(NOW))
    assert renewal.life().ends == ends
    found = renewal.finding()
    assert (found.severity if found else None) == severity
    if found:
        assert found.ref == Ref("Cluster", "", "west")
        assert "(hint: isthmus clusters rotate west)" in found.message


def test_tokens_of_each_form_say_to_what_they_are_bound():
    legacy = {"sub": "system:serviceaccount:a:b", "kubernetes.io/serviceaccount/secret.name": "b-token"}
    assert read_token(token(**legacy).token).bond == Bond("Secret", "b-token")
    bound = {"kubernetes.io": {"pod": {"name": "p", "uid": "1"}}, "sub": "system:serviceaccount:a:b"}
    assert read_token(token(**bound).token).bond == Bond("Pod", "p", "1")
    for other in ("x", "x.y.z", token(sub="jane").token, token(sub="system:serviceaccount:a").token):
        assert read_token(str.__str__(other)) is None
