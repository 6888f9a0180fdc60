"""Whatever keys we take Envoy takes: it would refuse a whole listener for one set that it cannot read."""

from __future__ import annotations

import json

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from google.protobuf import json_format
from jwt.algorithms import RSAAlgorithm

from fakes.issuers import Key
from fakes.static_envoy import static_bootstrap
from isthmus.envoy.binary import envoy_executable, validate
from isthmus.envoy.descriptors import pool
from isthmus.translate.offline import read_case
from isthmus.translate.types import ENVOY_TYPES

EC = Key().public
RSA = Key("RS256").public
ODD = (
    EC | {"kid": "a\0b"},
    EC | {"kid": '\n"\\\\\u2603'},
    EC | {"kid": "x" * 100_000},
    {name: value for name, value in EC.items() if name not in {"kid", "alg"}},
    Key("ES512").public,
    RSA | {"e": "AAEAAQ"},
    RSA | {"alg": "PS512"},
    RSAAlgorithm.to_jwk(rsa.generate_private_key(3, 2048).public_key(), as_dict=True),
    {"kty": "RSA", "n": "_" * 1365 + "w", "e": "AQAB"},  # 8,192 bits
    {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43},
    {"kty": "oct", "k": "YQ", "alg": "HS512"},
)
CASE = """
kind: Case
proxy: {namespace: default, address: 10.10.0.11}
---
kind: Cluster
metadata: {name: gke}
---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {clusterIP: 10.110.0.10, selector: {app: reviews}, ports: [{port: 80, targetPort: 8080, name: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews, labels: {app: reviews}}
status: {phase: Running, podIP: 10.10.0.11}
"""


def test_envoy_takes_keys_of_every_form_that_we_take():
    rules = [
        {"issuer": f"https://{number}.example", "jwks": json.dumps({"keys": [key]})}
        for number, key in enumerate(ODD)
    ]
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "all"},
        "spec": {"jwtRules": rules},
    }
    case = read_case(f"{CASE}---\n{yaml.safe_dump(policy)}")
    generation = case.generation()
    assert not generation.mesh.findings
    resources = {url: list(generation.resources(case.proxy, url, None)) for url in ENVOY_TYPES}
    bootstrap = static_bootstrap(resources)
    made = json_format.MessageToJson(bootstrap, descriptor_pool=pool())
    assert made.count("jwt_authn.v3.JwtAuthentication") == 2, "in TLS and without"
    validate(envoy_executable(), made)
