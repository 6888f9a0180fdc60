"""AuthorizationPolicy: who may call whom, and how. Source: Istio's AuthorizationPolicy reference, every field.

Lists may not be empty: what is left out stands for anything, and an empty list would stand for it unseen.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.api.istio.envoy_filter import PolicyTargetReference
from isthmus.api.istio.wasm_plugin import MatchLabelsSelector
from isthmus.api.resource import Object, Part

Texts = tuple[str, ...] | None
"""Any of these; None: not asked for."""
DRY_RUN = "istio.io/dry-run"
"""The annotation of policies that are only reported on."""


class Source(Part, frozen=True, kw_only=True):
    """Who calls: all that is said must be so. Of names and texts `pre*`, `*suf` and `*`, which stands for some, too."""

    principals: Texts = None
    """Identities that certificates prove, as `cluster.local/ns/default/sa/productpage`. Envoy: of the certificate's URI
    `spiffe://…`, a principal of `mtls_authenticated`."""
    not_principals: Texts = None
    """Any but these; a caller without a certificate has none of them. Envoy: as `principals`, under `not_id`."""
    request_principals: Texts = None
    """Whom a token that was checked is about: `ISSUER/SUBJECT`. Requests alone have one.
    Envoy: dynamic `metadata` of `envoy.filters.http.jwt_authn`: `payload.iss` and `payload.sub`."""
    not_request_principals: Texts = None
    """Any but these, and requests without a token. Envoy: as `requestPrincipals`, under `not_id`."""
    namespaces: Texts = None
    """The namespaces of callers, which certificates prove. Envoy: as `principals`, an expression."""
    not_namespaces: Texts = None
    """Any but these, and callers without a certificate. Envoy: as `namespaces`, under `not_id`."""
    service_accounts: Texts = None
    """The service accounts of callers: `NAMESPACE/NAME`, or `NAME` in the policy's own namespace; not beside
    `principals` or `namespaces`. Envoy: as `principals`, an expression."""
    not_service_accounts: Texts = None
    """Any but these, and callers without a certificate. Envoy: as `serviceAccounts`, under `not_id`."""
    trust_domains: Texts = None
    """The trust domains of callers, which certificates prove. Envoy: as `principals`, an expression."""
    not_trust_domains: Texts = None
    """Any but these, and callers without a certificate. Envoy: as `trustDomains`, under `not_id`."""
    ip_blocks: Texts = None
    """Addresses and ranges from which connections come. Envoy: `direct_remote_ip`."""
    not_ip_blocks: Texts = None
    """Any but these. Envoy: as `ipBlocks`, under `not_id`."""
    remote_ip_blocks: Texts = None
    """Addresses and ranges of the first caller, as X-Forwarded-For or the PROXY protocol say. Envoy: `remote_ip`."""
    not_remote_ip_blocks: Texts = None
    """Any but these. Envoy: as `remoteIpBlocks`, under `not_id`."""


class From(Part, frozen=True, kw_only=True):
    """Where calls come from."""

    source: Source | None = None
    """Who calls. Envoy: `principals` of a policy of RBAC."""


class Operation(Part, frozen=True, kw_only=True):
    """What is called: all that is said must be so. Of texts `pre*`, `*suf` and `*`, which stands for some, too."""

    hosts: Texts = None
    """Hosts of requests, without regard to case. Envoy: the `header` `:authority`."""
    not_hosts: Texts = None
    """Any but these. Envoy: as `hosts`, under `not_rule`."""
    ports: Texts = None
    """Ports on which the workload is called, as texts: `"8080"`. Envoy: `destination_port`."""
    not_ports: Texts = None
    """Any but these. Envoy: as `ports`, under `not_rule`."""
    methods: Texts = None
    """Methods of requests, as GET; those of gRPC are POST. Envoy: the `header` `:method`."""
    not_methods: Texts = None
    """Any but these. Envoy: as `methods`, under `not_rule`."""
    paths: Texts = None
    """Paths of requests without what follows `?`; in templates `{*}` is one part and `{**}`, as the last, any number of
    them. Envoy: `url_path`, or `uri_template` of templates."""
    not_paths: Texts = None
    """Any but these. Envoy: as `paths`, under `not_rule`."""


class To(Part, frozen=True, kw_only=True):
    """What is called."""

    operation: Operation | None = None
    """What is called. Envoy: `permissions` of a policy of RBAC."""


class Condition(Part, frozen=True, kw_only=True):
    """What else must be so."""

    key: str = ""
    """What is looked at: `request.headers[NAME]`, `source.ip`, `remote.ip`, `source.namespace`,
    `source.serviceAccount`, `source.trustDomain`, `source.principal`, `request.auth.principal`,
    `request.auth.audiences`,
    `request.auth.presenter`, `request.auth.claims[NAME]`, deeper `[NAME][NAME]`, `destination.ip`, `destination.port`,
    `connection.sni`, `experimental.envoy.filters.FILTER[NAME]`. Here alone: `source.cluster`, the cluster that vouched
    for the caller, as its certificate says, and `cel`, of which each value is an expression over Envoy's attributes.
    Envoy: a principal or a permission, `condition` for `cel`."""
    values: Texts = None
    """Any of these; texts, addresses or ports, as the key has them."""
    not_values: Texts = None
    """None of these. Envoy: under `not_id` or `not_rule`."""


class Rule(Part, frozen=True, kw_only=True):
    """Calls: some of `from`, some of `to` and all of `when`. What is left out is anything."""

    from_: tuple[From, ...] | None = msgspec.field(default=None, name="from")
    """Who calls: any of these. Envoy: `principals` of the rule's policy, `ns[NAMESPACE]-policy[NAME]-rule[NUMBER]`."""
    to: tuple[To, ...] | None = None
    """What is called: any of these. Envoy: `permissions` of that policy."""
    when: tuple[Condition, ...] | None = None
    """What else must be so: all of these."""


class Provider(Part, frozen=True, kw_only=True):
    """Who is asked."""

    name: str = ""
    """By which `extensionProviders` of MeshConfig call an `envoyExtAuthzHttp` or `envoyExtAuthzGrpc`.
    Envoy: `ext_authz`."""


class AuthorizationPolicySpec(Part, frozen=True, kw_only=True):
    """For whom, which calls, and what becomes of them."""

    selector: MatchLabelsSelector | None = None
    """For which workloads of its namespace, of all namespaces where that is the root's; without a word for all of them.
    Not beside `targetRefs`."""
    target_ref: PolicyTargetReference | None = None
    """Superseded by `targetRefs`, to which it adds one."""
    target_refs: tuple[PolicyTargetReference, ...] = ()
    """For the proxies of Gateways or GatewayClasses of the Gateway API, or for the ports of workloads by which Services
    and ServiceEntries of the namespace are served; in place of `selector`."""
    rules: tuple[Rule, ...] | None = None
    """Which calls: any of these; `{}` is all of them. Without any there are none: ALLOW allows nothing then.
    Envoy: `policies` of RBAC."""
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] = "ALLOW"
    """What becomes of them. CUSTOM asks the provider, DENY refuses, and where there is any ALLOW, what none allows is
    refused, in this order; AUDIT marks them for access logs. Envoy: `rbac` and `ext_authz`, filters for requests and
    for connections."""
    provider: Provider | None = None
    """Whom CUSTOM asks."""


class AuthorizationPolicy(Object, frozen=True, kw_only=True):
    """Who may call whom. The annotation `istio.io/dry-run: "true"` makes that only reported on."""

    spec: AuthorizationPolicySpec = AuthorizationPolicySpec()

    @property
    def is_dry(self) -> bool:
        """Whether it is only reported on what it would do."""
        return self.metadata.annotations.get(DRY_RUN, "").lower() == "true"
