"""RequestAuthentication: whose tokens (JWT) a workload believes. Source: Istio's reference, every field."""

from __future__ import annotations

import msgspec

from isthmus.api.istio.envoy_filter import PolicyTargetReference
from isthmus.api.istio.wasm_plugin import MatchLabelsSelector
from isthmus.api.resource import Object, Part
from isthmus.api.words import AtLeast1Ms


class JWTHeader(Part, frozen=True, kw_only=True):
    """A header that has the token."""

    name: str
    """Its name. Envoy: `name` of an entry of `from_headers`."""
    prefix: str = ""
    """What stands before the token, `Bearer ` with its blank for instance; a value without it has no token.
    Envoy: `value_prefix`."""


class ClaimToHeader(Part, frozen=True, kw_only=True):
    """A claim that the workload is told in a header."""

    header: str
    """The header's name. What callers put there themselves is taken away. Envoy: `header_name`."""
    claim: str
    """The claim's name; `a.b` is claim b within claim a. Text, numbers and truth values are passed on as they are,
    all else as JSON in base64. Envoy: `claim_name`."""


class JWTRule(Part, frozen=True, kw_only=True):
    """An issuer whose tokens are believed: by which keys, and where a request has them."""

    issuer: str
    """Who issues them: exactly what the token's claim `iss` says. Envoy: `issuer` of a provider."""
    audiences: tuple[str, ...] = ()
    """For whom a token must be, by its claim `aud`: one of these; without any, for anybody. Envoy: `audiences`."""
    jwks_uri: str = ""
    """Where the issuer publishes its keys, `https://…`. Pilot fetches them, looks again every twenty minutes, and
    keeps the last good ones while there is no answer. Without this and `jwks` it asks the issuer itself, at
    `/.well-known/openid-configuration`. Envoy: `local_jwks`."""
    jwks_uri_as_protobuf: str = msgspec.field(default="", name="jwks_uri")
    """The same as `jwksUri`, as older manifests write it. Envoy: `local_jwks`."""
    jwks: str = ""
    """The keys themselves, a JWKS, in place of `jwksUri`. Envoy: `local_jwks`."""
    from_headers: tuple[JWTHeader, ...] = ()
    """Which headers may have the token. Where nothing is said of headers, parameters and cookies, it is
    `Authorization: Bearer` or the parameter `access_token`. Envoy: `from_headers`."""
    from_params: tuple[str, ...] = ()
    """Which parameters of the query may have the token. Envoy: `from_params`."""
    from_cookies: tuple[str, ...] = ()
    """Which cookies may have the token. Envoy: `from_cookies`."""
    output_payload_to_header: str = ""
    """In which header the workload is told the whole payload, in base64url.
    Envoy: `forward_payload_header`."""
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()
    """Which claims the workload is told in headers. Envoy: `claim_to_headers`."""
    forward_original_token: bool = False
    """Whether the workload gets the token as well; otherwise it is taken out of the request.
    Envoy: `forward`."""
    timeout: AtLeast1Ms = ""
    """How long Pilot waits for an answer with keys; 5s without, 30s at the most."""
    space_delimited_claims: tuple[str, ...] = ()
    """Which claims are lists of words with blanks between, so that conditions can ask for one of the words;
    `scope` and `permission` are without a word. Envoy: `space_delimited_claims` of `normalize_payload_in_metadata`."""

    @property
    def keys_at(self) -> str:
        """`jwksUri`, however it is spelled; empty where it is not given."""
        return self.jwks_uri or self.jwks_uri_as_protobuf


class RequestAuthenticationSpec(Part, frozen=True, kw_only=True):
    """For whom, and which issuers."""

    selector: MatchLabelsSelector | None = None
    """For which workloads of its namespace, of all namespaces where that is the root's; without a word for all of them.
    Not beside `targetRefs`. Envoy: which listeners have the filter `envoy.filters.http.jwt_authn`."""
    target_ref: PolicyTargetReference | None = None
    """Superseded by `targetRefs`, to which it adds one."""
    target_refs: tuple[PolicyTargetReference, ...] = ()
    """For the proxies of which Gateways or GatewayClasses of the Gateway API, in place of `selector`."""
    jwt_rules: tuple[JWTRule, ...] = ()
    """The issuers. A request with a token of none of them, or one that is not good, is answered with 401; one without
    a token passes: to ask for one is what AuthorizationPolicies are for. Those of all RequestAuthentications for a
    workload count together. Envoy: `providers` and `rules` of the filter `envoy.filters.http.jwt_authn`."""


class RequestAuthentication(Object, frozen=True, kw_only=True):
    """Whose tokens a workload believes."""

    spec: RequestAuthenticationSpec = RequestAuthenticationSpec()
