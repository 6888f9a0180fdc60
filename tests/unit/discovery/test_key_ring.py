"""The ring of keys: what waits for keys, what is asked again, and what stays while nothing comes."""

from __future__ import annotations

import asyncio
import json

import pytest

from fakes.eventually import eventually
from fakes.issuers import Key, jwks
from fakes.manifests import EAST, WEST, config, gone, put
from isthmus.discovery.key_fetcher import CannotFetch
from isthmus.discovery.key_ring import KeyRing, KeyRingSettings, Sources, limits_of
from isthmus.kit.clock import ManualClock
from isthmus.kit.jwks import read_jwks
from isthmus.kit.tasks import supervise
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey, cluster_ref
from isthmus.model.key_source import FetchedKeys, GoodKeys, IssuerKeys, KeySource
from isthmus.model.mesh import MeshSettings

ONE, TWO = read_jwks(jwks(Key(kid="one"))), read_jwks(jwks(Key(kid="two")))
URI = "https://issuer.example/keys"
SOURCE = KeySource(URI)
SERVICE = config("ServiceEntry", "other", "{hosts: [a.example.com], ports: [{number: 80, name: http}]}")


def policy_of(*uris, **rule):
    rules = [{"issuer": "https://issuer.example", "jwksUri": uri} | rule for uri in uris]
    return json.dumps({"jwtRules": rules})


def policy(*uris, name="tokens", **rule):
    return config("RequestAuthentication", name, policy_of(*uris, **rule))


class Issuers:
    """Answers as it is told; `wait` holds answers back."""

    def __init__(self):
        self.answers, self.asked, self.kept = {URI: ONE}, [], {}
        self.clock = ManualClock()

    async def fetch(self, source, limit_s):
        self.asked.append((source.uri, limit_s))
        answer = self.answers.get(source.uri, "nobody there")
        if answer is None:
            await self.clock.sleep(limit_s)
            answer = "no answer"
        if isinstance(answer, str):
            raise CannotFetch(answer)
        return answer

    async def recall(self, source):
        return self.kept.get(source)


class Told:
    """A ring, and the mesh that is made of what it passes on."""

    def __init__(self):
        self.issuers = Issuers()
        self.clock = self.issuers.clock
        self.builder = MeshBuilder(MeshSettings(config_cluster=EAST))
        self.deltas = []
        self.heard, self.words = lambda change: None, []
        self.ring = KeyRing(
            EAST, self._take, Sources(self.issuers.fetch, self.issuers.recall), KeyRingSettings(), self.clock
        )

    def _take(self, change):
        self.heard(change)
        if isinstance(change.value, FetchedKeys):
            self.words.append(change)
        self.deltas.append(self.builder.apply([change]).delta)

    @property
    def policies(self):
        return [
            each.metadata.name for each in self.builder.mesh.config.get("RequestAuthentication", {}).values()
        ]

    @property
    def known(self):
        return dict(self.builder.mesh.key_sets)


@pytest.fixture
async def told():
    found = Told()
    async with supervise(found.ring.run()):
        yield found


async def test_a_policy_enters_the_mesh_with_its_keys_and_holds_up_nothing_else(told):
    told.issuers.answers[URI] = None
    told.ring.put(put(EAST, policy(URI)))
    told.ring.put(put(EAST, SERVICE))
    await told.clock.advance(1)
    assert not told.policies
    assert told.builder.mesh.config["ServiceEntry"]
    assert not await told.ring.settled(0.01)
    told.issuers.answers[URI] = ONE
    await told.clock.advance(15)
    assert told.policies == ["tokens"]
    assert told.known == {SOURCE: IssuerKeys(keys=ONE)}
    assert await told.ring.settled(1)


async def test_a_policy_of_whose_keys_nothing_comes_enters_without_them_and_it_is_said_why(told):
    told.issuers.answers[URI] = "it is away"
    told.ring.put(put(EAST, policy(URI)))
    await told.clock.advance(0)
    assert told.policies == ["tokens"]
    assert told.known == {SOURCE: IssuerKeys(trouble="it is away")}
    told.issuers.answers[URI] = ONE
    await told.clock.advance(10)
    assert told.known == {SOURCE: IssuerKeys(keys=ONE)}


async def test_keys_are_looked_at_again_and_the_last_good_ones_stay(told):
    told.ring.put(put(EAST, policy(URI)))
    await told.clock.advance(0)
    told.ring.want([policy(URI)])
    told.issuers.answers[URI] = TWO
    await told.clock.advance(1000)
    assert told.known[SOURCE].keys == ONE
    await told.clock.advance(200)
    assert told.known[SOURCE].keys == TWO
    told.issuers.answers[URI] = "it is away"
    await told.clock.advance(1200)
    assert (told.known[SOURCE].keys, told.known[SOURCE].trouble) == (TWO, "it is away")
    assert told.known[SOURCE].since.startswith("1970-01-12T14:0"), "twenty minutes after the first"
    assert not told.deltas[-1], "proxies have nothing to do with it"
    told.issuers.answers[URI] = TWO
    await told.clock.advance(60)
    assert told.known[SOURCE] == IssuerKeys(keys=TWO)
    assert not told.deltas[-1]


async def test_what_is_newer_counts_while_the_older_one_waits(told):
    told.issuers.answers[URI] = None
    told.ring.put(put(EAST, policy(URI)))
    told.ring.put(put(EAST, policy("", jwks=ONE.text)))
    assert told.policies == ["tokens"]
    assert told.builder.mesh.config["RequestAuthentication"]
    told.ring.put(put(EAST, policy(URI, name="second")))
    told.ring.put(gone(EAST, policy(URI, name="second")))
    await told.clock.advance(10)
    assert told.policies == ["tokens"]
    told.ring.put(put(EAST, policy("https://third.example/", name="third")))
    told.ring.put(Change(ChangeKey(EAST, cluster_ref(EAST)), None))
    assert await told.ring.settled(1)


async def test_only_what_configuration_names_is_asked_and_what_it_leaves_is_let_go(told):
    told.ring.put(put(WEST, policy("https://other.example/")))
    told.ring.put(put(EAST, policy(URI)))
    await told.clock.advance(0)
    told.ring.want([policy(URI)])
    await told.clock.advance(600)
    assert {uri for uri, _ in told.issuers.asked} == {URI}
    told.ring.want([])
    await told.clock.advance(60)
    assert told.known, "it may come again at once"
    await told.clock.advance(120)
    assert not told.known
    asked = len(told.issuers.asked)
    await told.clock.advance(3600)
    assert len(told.issuers.asked) == asked


async def test_each_source_is_asked_once_for_all_and_waited_for_as_the_most_patient_rule_says(told):
    patient = policy(URI, name="patient", timeout="10s")
    for each in (policy(URI), patient, policy(URI, name="endless", timeout="1h")):
        told.ring.put(put(EAST, each))
    await told.clock.advance(0)
    assert [uri for uri, _ in told.issuers.asked] == [URI]
    assert limits_of([policy(URI), patient]) == {SOURCE: 10}
    assert limits_of([policy(URI, timeout="1h")]) == {SOURCE: 30}
    assert limits_of([policy(URI)]) == {SOURCE: 5}


async def test_an_issuer_that_is_no_url_is_not_asked(told):
    told.ring.put(put(EAST, policy("", issuer="somebody@example.com")))
    await told.clock.advance(0)
    [(source, known)] = told.known.items()
    assert source.issuer == "somebody@example.com"
    assert "is no URL" in known.trouble
    assert not told.issuers.asked
    assert told.policies == ["tokens"]


async def test_an_issuer_that_is_away_from_the_start_has_the_keys_that_were_kept(told):
    told.issuers.answers[URI] = "it is away"
    told.issuers.kept[SOURCE] = GoodKeys(keys=ONE, fetched_at=1_000_000 - 3600)
    told.ring.put(put(EAST, policy(URI)))
    await told.clock.advance(0)
    assert told.policies == ["tokens"]
    assert told.known == {SOURCE: IssuerKeys(keys=ONE, trouble="it is away", since="1970-01-12T12:46:40Z")}
    told.ring.want([policy(URI), policy("https://other.example/")])
    kept = told.ring.good.value
    assert kept == {SOURCE: told.issuers.kept[SOURCE], KeySource("https://other.example/"): None}
    told.issuers.answers[URI] = TWO
    await told.clock.advance(10)
    assert told.known[SOURCE] == IssuerKeys(keys=TWO)
    assert told.ring.good.value[SOURCE].keys == TWO


async def test_keys_that_were_kept_are_not_asked_for_where_an_issuer_answers(told):
    told.issuers.kept[SOURCE] = GoodKeys(keys=ONE, fetched_at=1_000_000)
    told.issuers.answers[URI] = TWO
    told.ring.put(put(EAST, policy(URI)))
    await told.clock.advance(0)
    assert [change.value.keys for change in told.words] == [TWO], (
        "what an issuer says counts, and nothing before"
    )


ASKS = "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}"
USERS = config("AuthorizationPolicy", "users", ASKS)
ROUTES = config(
    "VirtualService",
    "routes",
    "{hosts: [a], http: [{match: [{headers: {'@request.auth.claims.group': {exact: x}}}], "
    "route: [{destination: {host: a}}]}]}",
)


def names(told, kind):
    return [each.metadata.name for each in told.builder.mesh.config.get(kind, {}).values()]


@pytest.mark.parametrize("user", [USERS, ROUTES], ids=["policy", "routes"])
async def test_what_depends_on_tokens_enters_the_mesh_with_what_checks_them(told, user):
    kind = type(user).__name__
    told.issuers.answers[URI] = None
    told.ring.put(put(EAST, policy(URI)))
    told.ring.put(put(EAST, user))
    told.ring.put(put(EAST, config("AuthorizationPolicy", "others", "{rules: [{}]}")))
    told.ring.put(put(EAST, policy(URI)))  # written anew meanwhile
    await told.clock.advance(1)
    assert not told.policies
    assert user.metadata.name not in names(told, kind)
    assert names(told, "AuthorizationPolicy").count("others") == 1, "it asks for no token"
    seen = []
    told.heard = lambda change: seen.append(change.key.ref.kind)
    await told.clock.advance(10)
    assert seen[-2:] == ["RequestAuthentication", kind]
    assert await told.ring.settled(1)


async def test_nobody_waits_for_policies_of_other_namespaces_and_all_for_those_of_the_root(told):
    told.issuers.answers[URI] = None
    elsewhere = config("RequestAuthentication", "there", policy_of(URI), namespace="elsewhere")
    told.ring.put(put(EAST, elsewhere))
    told.ring.put(put(EAST, USERS))
    assert names(told, "AuthorizationPolicy") == ["users"]
    told.ring.put(put(EAST, config("RequestAuthentication", "all", policy_of(URI), namespace="istio-system")))
    told.ring.put(put(EAST, config("AuthorizationPolicy", "second", ASKS)))
    assert names(told, "AuthorizationPolicy") == ["users"]
    told.ring.put(gone(EAST, USERS))
    assert not names(told, "AuthorizationPolicy"), "what goes does not wait"
    await told.clock.advance(10)
    assert names(told, "AuthorizationPolicy") == ["second"]


async def test_who_waits_too_long_at_the_start_enters_without_keys(told):
    told.issuers.answers[URI] = None
    told.ring.put(put(EAST, policy(URI)))
    told.ring.put(put(EAST, USERS))
    assert not await told.ring.settled(0.01)
    assert told.policies == ["tokens"]
    assert names(told, "AuthorizationPolicy") == ["users"]
    assert told.known == {SOURCE: IssuerKeys(trouble="no answer within 10ms")}


async def test_issuers_that_do_not_answer_hold_up_policies_of_others_for_a_while_and_no_longer():
    passed = []

    async def silent(source, limit_s):
        await asyncio.Event().wait()

    ring = KeyRing(EAST, passed.append, Sources(silent), KeyRingSettings(turn_s=0.05))
    uris = [f"https://issuer.example/{number}" for number in range(65)]
    async with supervise(ring.run()):
        for number, uri in enumerate(uris):
            ring.put(put(EAST, policy(uri, name=f"number-{number}", timeout="20ms")))

        async def passes():
            return any(change.key.ref.name == "number-64" for change in passed)

        await eventually(passes)
    (word,) = {change.value.message for change in passed if change.key.ref.name == uris[-1]}
    assert word.startswith("not asked yet: ")
