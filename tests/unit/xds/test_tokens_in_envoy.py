"""What a real Envoy makes of RequestAuthentications, with real issuers, tokens and applications on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from fakes.bookinfo import objects
from fakes.edge import GKE, Pilot, tls_gateway
from fakes.eventually import eventually
from fakes.issuers import NAME, Key, Publisher, jwks
from fakes.ports import free_ports
from isthmus.discovery.key_fetcher import KeyFetcher
from isthmus.discovery.key_ring import KeyRing, KeyRingSettings, Sources
from isthmus.kit.tasks import supervise

HERE = "127.0.0.1"
GOOD = Key()


def authentication(rules, name="tokens", namespace="istio-system"):
    """A RequestAuthentication for the gateway; each rule is a mapping."""
    listed = json.dumps(rules)
    return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{matchLabels: {{istio: ingress}}}}, jwtRules: {listed}}}
"""


def rule(**more):
    return {"issuer": NAME, "jwks": jwks(GOOD)} | more


ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
    - match: [{headers: {"@request.auth.claims.realm.groups": {exact: admin}}}]
      headers: {request: {set: {x-route: admins}}}
      route: [{destination: {host: app.example.net}}]
    - match: [{headers: {"@request.auth.claims[https://example.com/team][name]": {prefix: red}}}]
      headers: {request: {set: {x-route: reds}}}
      route: [{destination: {host: app.example.net}}]
    - match: [{headers: {x-told: {exact: jason}}}]
      headers: {request: {set: {x-route: told}}}
      route: [{destination: {host: app.example.net}}]
    - route: [{destination: {host: app.example.net}}]
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: app}}
spec:
  hosts: [app.example.net]
  ports: [{{number: 9000, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]
"""


@asynccontextmanager
async def application():
    """The port of an application that answers with the headers that it gets, as JSON."""

    async def answer(asked):
        return web.json_response(
            {name.lower(): value for name, value in asked.headers.items()} | {"path": asked.raw_path}
        )

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HERE, 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


class Edge:
    """A gateway that runs, and whom to tell of changes."""

    def __init__(self, pilot, url, http):
        self.pilot, self._url, self._http = pilot, url, http

    async def asks(self, token=None, path="/", method="GET", **headers):
        """The status of an answer, and what the application was told; where there is a token, in the usual place."""
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        async with self._http.request(method, f"{self._url}{path}", headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.status == 200 else text


@asynccontextmanager
async def edge(folder, *policies):
    """A gateway's Envoy, with an application behind it, for which these policies hold."""
    (port,), pilot = free_ports(1), Pilot()
    server = f'{{port: {{number: {port}, name: http, protocol: HTTP}}, bind: {HERE}, hosts: ["*"]}}'
    async with application() as app, aiohttp.ClientSession() as http:
        pilot.step(*objects(gke=[tls_gateway("edge", server), ROUTES, ENTRY.format(port=app), *policies]))
        async with pilot.envoy(folder):
            found = Edge(pilot, f"http://{HERE}:{port}", http)

            async def is_there():
                try:
                    return (await found.asks())[0] in {200, 401, 403}
                except aiohttp.ClientError:
                    return False

            await eventually(is_there)
            yield found


async def test_good_tokens_pass_and_bad_ones_do_not(tmp_path):
    other = Key(kid="one")
    policy = authentication([rule(audiences=["shop", "store"])])
    async with edge(tmp_path, policy) as gateway:
        assert (await gateway.asks())[0] == 200, "nobody asks for a token"
        assert (await gateway.asks(GOOD.sign(aud="shop")))[0] == 200
        assert (await gateway.asks(GOOD.sign(aud=["x", "store"])))[0] == 200
        bad = {
            "expired": GOOD.sign(aud="shop", life_s=-120),
            "not valid yet": GOOD.sign(aud="shop", nbf=4_000_000_000),
            "of another audience": GOOD.sign(aud="other"),
            "of no audience": GOOD.sign(),
            "of another issuer": GOOD.sign("https://other.example", aud="shop"),
            "of another key": other.sign(aud="shop"),
            "no token": "nonsense",
            "changed": GOOD.sign(aud="shop")[:-6] + "AAAAAA",
            "unsigned": unsigned(aud="shop"),
        }
        for what, token in bad.items():
            status, _ = await gateway.asks(token)
            assert status in {401, 403}, what
        assert (await gateway.asks(bad["of another audience"]))[0] == 403
        assert (await gateway.asks(bad["expired"]))[0] == 401


def unsigned(**claims):
    """A token whose head says that it needs no signature."""
    head, body = {"alg": "none", "typ": "JWT"}, {"iss": NAME, "sub": "jason", "exp": 4_000_000_000} | claims
    parts = (
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in (head, body)
    )
    return f"{'.'.join(parts)}."


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
async def test_each_algorithm_of_public_keys_is_believed(tmp_path, algorithm):
    key = Key(algorithm)
    async with edge(tmp_path, authentication([{"issuer": NAME, "jwks": jwks(GOOD, key)}])) as gateway:
        assert (await gateway.asks(key.sign()))[0] == 200
        assert (await gateway.asks(Key(algorithm).sign()))[0] == 401


async def test_tokens_are_taken_from_where_rules_say_and_what_they_say_is_told(tmp_path):
    places = rule(
        fromHeaders=[{"name": "x-token", "prefix": "Token "}],
        fromParams=["token"],
        fromCookies=["session"],
        outputPayloadToHeader="x-payload",
        outputClaimToHeaders=[{"header": "x-told", "claim": "sub"}, {"header": "x-deep", "claim": "a.b"}],
    )
    async with edge(tmp_path, authentication([places])) as gateway:
        token, bad = GOOD.sign(a={"b": 7}), Key().sign()
        for given in ({"x-token": f"Token {token}"}, {"cookie": f"a=b; session={token}"}):
            status, told = await gateway.asks(**given)
            assert status == 200
            assert told["x-told"] == "jason"
            assert told["x-deep"] == "7"
            assert told["x-route"] == "told", "routes see headers that are made of claims"
            payload = told["x-payload"]
            assert json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"] == "jason"
            assert "x-token" not in told
        assert (await gateway.asks(path=f"/?token={token}"))[0] == 200
        assert (await gateway.asks(path=f"/?token={bad}"))[0] == 401
        for given in ({"x-token": f"Token {bad}"}, {"cookie": f"session={bad}"}):
            assert (await gateway.asks(**given))[0] == 401
        status, told = await gateway.asks(bad)
        assert status == 200, "no rule looks into this header"
        forged = {"x-told": "jason", "x-deep": "1", "x-payload": "e30"}
        status, told = await gateway.asks(**forged)
        assert (status, told.keys() & {*forged, "x-route"}) == (200, set()), "nobody can say it himself"


async def test_the_token_itself_goes_on_only_where_that_is_asked_for(tmp_path):
    kept = {"issuer": "https://kept.example", "jwks": jwks(GOOD), "forwardOriginalToken": True}
    async with edge(tmp_path, authentication([rule(), kept])) as gateway:
        assert "authorization" not in (await gateway.asks(GOOD.sign()))[1]
        assert "authorization" in (await gateway.asks(GOOD.sign("https://kept.example")))[1]


async def test_of_several_issuers_each_has_its_own_keys(tmp_path):
    second, name = Key(kid="two"), "https://second.example"
    rules = [rule(), {"issuer": name, "jwks": jwks(second)}]
    async with edge(tmp_path, authentication(rules[:1]), authentication(rules[1:], "more")) as gateway:
        assert (await gateway.asks())[0] == 200
        assert (await gateway.asks(GOOD.sign()))[0] == 200
        assert (await gateway.asks(second.sign(name)))[0] == 200
        assert (await gateway.asks(second.sign()))[0] == 401
        assert (await gateway.asks(GOOD.sign(name)))[0] == 401
        assert (await gateway.asks(GOOD.sign("https://third.example")))[0] == 401


async def test_routes_follow_claims_that_were_checked(tmp_path):
    async with edge(tmp_path, authentication([rule(spaceDelimitedClaims=["words"])])) as gateway:

        async def route(**claims):
            status, told = await gateway.asks(GOOD.sign(**claims))
            assert status == 200
            return told.get("x-route")

        assert await route(realm={"groups": ["user", "admin"]}) == "admins"
        assert await route(realm={"groups": "admin"}) == "admins"
        assert await route(realm={"groups": "user"}) is None
        assert await route(**{"https://example.com/team": {"name": "reds"}}) == "reds"
        assert "x-route" not in (await gateway.asks())[1]
        assert (await gateway.asks(Key().sign(realm={"groups": "admin"})))[0] == 401


async def test_what_browsers_ask_beforehand_needs_no_token(tmp_path):
    async with edge(tmp_path, authentication([rule()])) as gateway:
        asked = {"origin": "https://a.example", "access-control-request-method": "GET"}
        assert (await gateway.asks("nonsense", method="OPTIONS", **asked))[0] == 200
        assert (await gateway.asks("nonsense", method="OPTIONS"))[0] == 401


async def test_an_issuer_without_keys_is_believed_nothing_and_the_others_are(tmp_path):
    unknown = {"issuer": "https://unknown.example", "jwksUri": "https://unknown.example/keys"}
    async with edge(tmp_path, authentication([rule(), unknown])) as gateway:
        for token in (GOOD.sign("https://unknown.example"), unsigned(iss="https://unknown.example")):
            assert (await gateway.asks(token))[0] == 401
        assert (await gateway.asks(GOOD.sign()))[0] == 200
        assert (await gateway.asks())[0] == 200


USERS_ALONE = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: users-alone, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingress}}
  rules:
    - from: [{source: {requestPrincipals: ["https://issuer.example/*"]}}]
      when: [{key: "request.auth.claims[realm][groups]", notValues: [guests]}]
"""


async def test_who_must_have_a_token_is_let_in_by_a_good_one_alone(tmp_path):
    async with edge(tmp_path, authentication([rule()]), USERS_ALONE) as gateway:
        assert (await gateway.asks())[0] == 403
        assert (await gateway.asks(GOOD.sign()))[0] == 200
        assert (await gateway.asks(GOOD.sign(realm={"groups": ["guests"]})))[0] == 403
        assert (await gateway.asks(Key().sign()))[0] == 401


WRONG = {
    "it is not there": [],
    "it cannot be read": [authentication([{"issuer": ""}])],
    "it is for others": [authentication([rule()]).replace("istio: ingress", "istio: other")],
    "its issuer has no keys": [authentication([{"issuer": NAME, "jwksUri": "https://nobody.invalid/keys"}])],
    "its issuer is no URL": [authentication([{"issuer": "somebody"}])],
}


@pytest.mark.parametrize("policies", WRONG.values(), ids=WRONG)
async def test_nothing_opens_where_the_policy_that_checks_tokens_is_wrong(tmp_path, policies):
    async with edge(tmp_path, *policies, USERS_ALONE) as gateway:
        assert (await gateway.asks())[0] == 403
        for token in (GOOD.sign(), Key().sign(), unsigned()):
            assert (await gateway.asks(token))[0] in {401, 403}


LOGIN = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    extensionProviders:
      - name: login
        envoyExtAuthzHttp:
          service: login.example.net
          port: 9000
          includeRequestHeadersInCheck: [cookie]
          headersToUpstreamOnAllow: [authorization]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: login}}
spec:
  hosts: [login.example.net]
  ports: [{{number: 9000, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{http: {port}}}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: login, namespace: istio-system}}
spec:
  selector: {{matchLabels: {{istio: ingress}}}}
  action: CUSTOM
  provider: {{name: login}}
  rules: [{{}}]
"""


async def test_who_is_asked_first_may_put_the_token_in(tmp_path):
    async def answer(asked):
        session = asked.headers.get("cookie", "")
        if "session" not in session:
            return web.Response(status=401)
        key = GOOD if session == "session=good" else Key()
        return web.Response(headers={"authorization": f"Bearer {key.sign()}"})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HERE, 0).start()
    try:
        login = LOGIN.format(port=runner.addresses[0][1]).split("---\n")
        async with edge(tmp_path, authentication([rule()]), USERS_ALONE, *login) as gateway:
            assert (await gateway.asks(cookie="session=good"))[0] == 200
            assert (await gateway.asks(cookie="session=other"))[0] == 401
            assert (await gateway.asks())[0] == 401
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fetching(gateway, policy, **often):
    """A ring of keys between the gateway's Pilot and this policy."""
    ring = KeyRing(GKE, gateway.pilot.step, Sources(KeyFetcher(()).fetch), KeyRingSettings(**often))
    async with supervise(ring.run()):
        [put] = objects(gke=[policy])
        ring.put(put)
        assert await ring.settled(10)
        yield ring


async def test_keys_are_followed_as_they_rotate_at_the_issuer_and_no_request_is_lost(tmp_path):
    first, second = Key(kid="first"), Key(kid="second")
    async with Publisher(first).serving() as issuer, edge(tmp_path) as gateway:
        policy = authentication([{"issuer": NAME, "jwksUri": issuer.uri}])
        async with fetching(gateway, policy, refresh_s=0.1):
            answers, stop = [], asyncio.Event()

            async def ask_on():
                while not stop.is_set():
                    key = issuer.keys[0]
                    answers.append((await gateway.asks(key.sign()))[0])

            async def is_believed():
                return (await gateway.asks(second.sign()))[0] == 200

            async def is_not_believed():
                return (await gateway.asks(first.sign()))[0] == 401

            await eventually(lambda: refuses(gateway, second.sign()))
            asking = asyncio.create_task(ask_on())
            issuer.keys = (first, second)
            await eventually(is_believed)
            issuer.keys = (second, first)  # from now on the second signs
            issuer.keys = (second,)
            await eventually(is_not_believed)
            stop.set()
            await asking
            assert set(answers) == {200}
            issuer.status = 500
            asked = issuer.asked
            await eventually(lambda: asked_again(issuer, asked))
            assert (await gateway.asks(second.sign()))[0] == 200, "the last good ones hold"


async def refuses(gateway, token):
    return (await gateway.asks(token))[0] == 401


async def asked_again(issuer, before):
    return issuer.asked > before + 1
