"""An issuer of tokens: its keys, tokens that it signs, and a server on loopback that publishes the keys."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NAME = "https://issuer.example"
_MAKERS = {
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "PS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "ES384": (lambda: ec.generate_private_key(ec.SECP384R1()), ECAlgorithm),
    "ES512": (lambda: ec.generate_private_key(ec.SECP521R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


class Key:
    """A pair of keys for one algorithm."""

    def __init__(self, algorithm="ES256", kid="one"):
        make, self._written = _MAKERS[algorithm]
        self.algorithm, self.kid, self.private = algorithm, kid, make()

    @property
    def public(self):
        """As a JWKS has it."""
        return self._jwk(self.private.public_key())

    @property
    def secret(self):
        """With its private part."""
        return self._jwk(self.private)

    def _jwk(self, key):
        made = self._written.to_jwk(key, as_dict=True)
        made.pop("key_ops", None)
        return made | {"kid": self.kid, "alg": self.algorithm}

    def sign(self, name=NAME, life_s=300, **claims):
        """A token of an issuer of that name."""
        now = int(time.time())
        said = {"iss": name, "sub": "jason", "iat": now, "exp": now + life_s} | claims
        return jwt.encode(said, self.private, self.algorithm, headers={"kid": self.kid})


def jwks(*keys):
    """A set of public keys, as text."""
    return json.dumps({"keys": [each.public for each in keys]})


class Publisher:
    """Answers at `/keys` with keys, and says at the usual place that they are there. All of it can be changed."""

    def __init__(self, *keys):
        self.keys, self.status, self.wait_s, self.asked = keys, 200, 0.0, 0
        self.body, self.headers, self.issuer, self.name = "", {}, "", ""

    async def _answer_keys(self, _):
        self.asked += 1
        await asyncio.sleep(self.wait_s)
        return web.Response(status=self.status, text=self.body or jwks(*self.keys), headers=self.headers)

    async def _answer_name(self, _):
        said = {"issuer": self.issuer or self.name, "jwks_uri": f"{self.name}/keys"}
        return web.json_response(said)

    @asynccontextmanager
    async def serving(self, tls=None):
        """The publisher, for as long as the block lasts; `name` is its URL."""
        app = web.Application()
        app.router.add_get("/keys", self._answer_keys)
        app.router.add_get("/.well-known/openid-configuration", self._answer_name)
        app.router.add_get("/moved", _moved)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        self.name = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()

    @property
    def uri(self):
        """Where the keys are."""
        return f"{self.name}/keys"


async def _moved(asked):
    """Leads to where the query says."""
    return web.Response(status=302, headers={"location": asked.query["to"]})
