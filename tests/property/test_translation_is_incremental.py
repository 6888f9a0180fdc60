"""Translation step by step is translation from nothing, and no step touches more than it says."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fakes.bookinfo import (
    BOOKINFO,
    DESTINATION_RULE,
    EXTENSION,
    GATEWAY,
    VIRTUAL_SERVICE,
    objects,
    pod,
    service,
)
from fakes.credentials import PKI, secret, tls_secret
from fakes.edge import GKE, https, originating, tls_gateway
from fakes.manifests import put
from fakes.pki import Pki
from fakes.shares import in_shares
from fakes.told import differing, told
from fakes.translation import Translation
from isthmus.api.istio.request_authentication import JWTRule
from isthmus.kit import spiffe_bundle, x509
from isthmus.kit.jwks import NO_KEYS, KeySet
from isthmus.model import fetched_bundles
from isthmus.model.change import Change
from isthmus.model.endpoint import Locality
from isthmus.model.findings import Code
from isthmus.model.interception import MODES
from isthmus.model.key_source import KeySource, fetched, not_fetched, source_of
from isthmus.model.names import ClusterId, NetworkId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.generation import Translator
from isthmus.translate.types import LISTENER, ROUTES, TYPES, UPSTREAM

PROXIES = (
    Proxy(
        kind=ProxyKind.SIDECAR,
        address="10.10.0.11",
        name="a",
        namespace="default",
        cluster=ClusterId("gke"),
        labels=(("app", "reviews"),),
        locality=Locality("eu"),
        proven=True,
        metadata=(("AUTO_REGISTER_GROUP", "vms"), ("ENABLE_SELF_DISCOVERY", "true")),
    ),
    Proxy(
        kind=ProxyKind.SIDECAR,
        address="10.20.0.13",
        name="b",
        namespace="other",
        cluster=ClusterId("onprem"),
        network=NetworkId("far-net"),
    ),
    Proxy(
        kind=ProxyKind.ROUTER,
        address="10.10.0.9",
        name="c",
        namespace="default",
        cluster=ClusterId("gke"),
        labels=(("gateway.networking.k8s.io/gateway-name", "web"), ("istio", "ingress")),
        proven=True,
    ),
)

HEADLESS = service("headless", "None", "{port: 7000, name: tcp}").replace("app: headless", "app: reviews")
TCP_RULE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mongo}
spec: {hosts: [mongo], tcp: [{route: [{destination: {host: reviews}}]}]}
"""
INGRESS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ingress}
spec: {hosts: ["*"], gateways: [bookinfo], http: [{route: [{destination: {host: ratings}}]}]}
"""
STICKY = DESTINATION_RULE.replace(
    "spec: {host: reviews,",
    "spec: {host: reviews, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}},",
)
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: narrow, namespace: other}
spec:
  workloadSelector: {labels: {app: reviews}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress:
    - {hosts: ["./*"], port: {number: 9080, protocol: HTTP, name: http}}
    - {hosts: ["*/ratings.default.svc.cluster.local"]}
"""
WHOLE = SIDECAR.replace("narrow", "whole").replace("  workloadSelector: {labels: {app: reviews}}\n", "")
BOUND = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: bound}
spec:
  workloadSelector: {labels: {app: reviews}}
  inboundConnectionPool: {tcp: {maxConnections: 9}}
  ingress:
    - {port: {number: 9080, protocol: HTTP}, defaultEndpoint: "0.0.0.0:8080"}
    - port: {number: 9090}
      captureMode: NONE
      defaultEndpoint: 127.0.0.1:8090
      tls: {mode: SIMPLE, credentialName: other}
  egress:
    - {hosts: ["*/*"]}
    - {port: {number: 7000, protocol: TCP}, captureMode: NONE, hosts: ["*/*"]}
    - {port: {number: 9080, protocol: HTTP}, bind: "unix:///http.sock", hosts: ["*/*"]}
  outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: guess, port: {number: 7000}}}
"""
CONNECTIONS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: connections}
spec:
  host: mongo
  workloadSelector: {matchLabels: {app: reviews}}
  trafficPolicy:
    connectionPool: {tcp: {idleTimeout: 5s, maxConnectionDuration: 60s}, http: {http2KeepAlive: {interval: 3s}}}
    loadBalancer: {consistentHash: {useSourceIp: true}}
    tunnel: {targetHost: db.example.com, targetPort: 27017}
    proxyProtocol: {version: V2}
    retryBudget: {percent: 5}
"""
SUBNETS = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mongo}
spec:
  hosts: [mongo]
  tcp:
    - match: [{destinationSubnets: [10.0.0.0/8], sourceLabels: {app: reviews}}, {sourceSubnet: 10.10.0.0/16}]
      route: [{destination: {host: headless}}]
    - route: [{destination: {host: mongo}}]
"""
DELEGATING = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  exportTo: [other]
  http: [{match: [{uri: {prefix: /a}}], delegate: {name: team}}, {route: [{destination: {host: ratings}}]}]
"""
DELEGATE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: team}
spec: {http: [{match: [{uri: {exact: /a/b}}], route: [{destination: {host: guess}}]}]}
"""
SHARES = DESTINATION_RULE.replace(
    "spec: {host: reviews,",
    "spec: {host: reviews, exportTo: [other], trafficPolicy: {outlierDetection: {}, loadBalancer: {localityLbSetting: "
    "{failoverPriority: [version, topology.istio.io/cluster]}}},",
)

PATCHES = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patches, namespace: istio-system}
spec:
  priority: -10
  configPatches:
    - {applyTo: CLUSTER, match: {cluster: {service: reviews.default.svc.cluster.local}}, patch: {operation: REMOVE}}
    - applyTo: CLUSTER
      match: {context: SIDECAR_INBOUND, cluster: {portNumber: 9090}}
      patch: {operation: MERGE, value: {connect_timeout: 3s}}
    - applyTo: LISTENER
      patch:
        operation: ADD
        value: {name: own, address: {socket_address: {address: 0.0.0.0, port_value: 7000}}, api_listener: {}}
    - applyTo: VIRTUAL_HOST
      match: {routeConfiguration: {vhost: {name: "ratings.default.svc.cluster.local:9080"}}}
      patch: {operation: MERGE, value: {request_headers_to_remove: [x-a]}}
"""
LOCAL_PATCHES = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: patches}
spec:
  workloadSelector: {labels: {app: reviews}}
  configPatches:
    - applyTo: CLUSTER
      patch: {operation: ADD, value: {name: "outbound|7000||guess.default.svc.cluster.local", connect_timeout: 1s}}
    - applyTo: HTTP_ROUTE
      patch: {operation: MERGE, value: {stat_prefix: all}}
    - applyTo: HTTP_FILTER
      match: {listener: {filterChain: {filter: {subFilter: {name: envoy.filters.http.cors}}}}}
      patch: {operation: REMOVE}
"""
NAMED_PATCHES = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: named}
spec:
  configPatches:
    - applyTo: CLUSTER
      match: {cluster: {service: reviews.default.svc.cluster.local}}
      patch: {operation: MERGE, value: {connect_timeout: 4s}}
    - applyTo: CLUSTER
      match: {cluster: {name: "outbound|9080||ratings.default.svc.cluster.local"}}
      patch: {operation: REMOVE}
    - applyTo: LISTENER
      match: {listener: {name: virtualInbound}}
      patch: {operation: MERGE, value: {per_connection_buffer_limit_bytes: 9000}}
"""
OTHER_GATEWAYS = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: web}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}]
  configPatches: [{applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: 5s}}}]
"""
ROOT_STICKY = STICKY.replace(
    "metadata: {name: reviews", "metadata: {namespace: istio-system, name: reviews"
).replace("host: reviews,", "host: reviews.default.svc.cluster.local,")
PLAIN = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %s, namespace: %s}
spec: {host: "%s", trafficPolicy: {%s}}
"""
PLAINS = (
    PLAIN
    % ("plain", "other", "reviews.default.svc.cluster.local", "connectionPool: {http: {maxRetries: 3}}"),
    PLAIN % ("round", "default", "reviews", "loadBalancer: {simple: ROUND_ROBIN}"),
    PLAIN % ("sticky", "istio-system", "*.local", "loadBalancer: {consistentHash: {httpHeaderName: x-user}}"),
)
"""Rules by which it changes, on what the routes to services depend that say nothing of it themselves."""

PLUGIN = """
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: plugin}
spec: {url: "https://modules.example/a.wasm", sha256: "%s", match: [{mode: CLIENT, ports: [{number: 9080}]}]}
""" % ("a" * 64)
ROOT_PLUGIN = """
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: plugin, namespace: istio-system}
spec: {url: "file:///a.wasm", phase: AUTHN}
"""

ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [api.example.com]
  addresses: [240.0.0.7, 10.9.0.0/16]
  ports:
    - {number: 9080, name: http, protocol: HTTP}
    - {number: 443, name: tls, protocol: TLS}
    - {number: 7000, name: tcp, protocol: TCP}
  resolution: STATIC
  workloadSelector: {labels: {app: reviews}}
"""
SHOWN_HERE = (
    ENTRY.replace("resolution: STATIC", "resolution: NONE, exportTo: [.]")
    .replace(
        "  resolution: NONE, exportTo: [.]\n  workloadSelector: {labels: {app: reviews}}\n",
        "  exportTo: [.]\n",
    )
    .replace("  addresses: [240.0.0.7, 10.9.0.0/16]\n", "")
)
BY_NAME = (
    ENTRY.replace("outside", "by-name")
    .replace("api.example.com", "reviews.default.svc.cluster.local")
    .replace("STATIC", "DNS")
)
WORKLOAD = """
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm}
spec: {address: 10.10.0.44, labels: {app: reviews, version: v2}, serviceAccount: vm}
"""

UNWELL = WORKLOAD.replace(
    "name: vm}", 'name: vm, annotations: {proxy.istio.io/health-checks-enabled: "true"}}'
)
PROBED = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: vms}
spec: {template: {labels: {app: reviews}}, probe: {tcpSocket: {port: 9080}}}
"""

DATAGRAMS = service(
    "datagrams", "10.110.0.53", "{port: 53, name: dns, protocol: UDP}, {port: 53, name: tcp}"
).replace("app: datagrams", "app: reviews")
BARE = pod("bare", "10.10.0.14").replace("tlsMode: istio", "tlsMode: disabled")
BINDING = pod("binding", "10.10.0.11").replace(
    "spec: {", "spec: {containers: [{name: a, ports: [{containerPort: 16140, protocol: UDP}]}], "
)
"""Takes datagrams at the door of `DATAGRAMS` itself."""
TUNNELLED = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: datagrams}
spec:
  host: datagrams
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, connectionPool: {tcp: {idleTimeout: 3s}}}
  subsets: [{name: v1, labels: {version: v1}}]
"""
LOGS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: logs}
spec:
  hosts: [logs.example.com, other-logs.example.com]
  ports: [{number: 514, name: syslog, protocol: UDP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.1}]
"""

EAST_WEST = """
apiVersion: v1
kind: Service
metadata: {name: eastwest, namespace: istio-system, labels: {topology.istio.io/network: far-net}}
spec: {clusterIP: 10.120.0.99, externalIPs: [203.0.113.7], ports: [{port: 15443, name: tls}]}
"""
BETWEEN = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: between}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 15443, name: tls, protocol: TLS}, hosts: ["*.local"], tls: {mode: AUTO_PASSTHROUGH}}]
"""
NODE_GATEWAY = EAST_WEST.replace(
    "labels: {", 'annotations: {traffic.istio.io/nodeSelector: "{}"}, labels: {'
).replace("name: tls}", "name: tls, nodePort: 30443}")
NODE = """
apiVersion: v1
kind: Node
metadata: {name: node}
status: {addresses: [{type: ExternalIP, address: 203.0.113.9}]}
"""
NETWORK = """
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: far-net}}
"""
DISTRIBUTED = service("ratings", "10.110.0.11").replace(
    "spec: {", "spec: {trafficDistribution: PreferSameNode, "
)
LOCAL = service("mongo", "10.110.0.12", "{port: 27017, name: mongo}").replace(
    "spec: {", "spec: {internalTrafficPolicy: Local, "
)
MESH_NETWORKS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  meshNetworks: |
    networks:
      range: {endpoints: [{fromCidr: 10.20.0.0/16}], gateways: [{address: 203.0.113.20, port: 15443}]}
      near: {endpoints: [{fromRegistry: gke}], gateways: [{registryServiceName: ratings.default.svc, port: 9080}]}
"""

TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: whole, namespace: istio-system}
spec:
  tracing: [{randomSamplingPercentage: 5}]
  accessLogging: [{match: {mode: CLIENT}, providers: [{name: envoy}], filter: {expression: response.code >= 500}}]
"""
OWN_TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: own}
spec:
  selector: {matchLabels: {app: reviews}}
  tracing: [{providers: [{name: spans}]}]
  accessLogging: [{disabled: true}]
"""
MESH = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    accessLogFile: /dev/stdout
    extensionProviders:
      - {name: spans, zipkin: {service: default/ratings, port: 9080}}
      - {name: judge, envoyExtAuthzGrpc: {service: default/ratings, port: 9080}}
    defaultProviders: {tracing: [spans]}
"""
OTHER_MESH = MESH.replace("accessLogFile: /dev/stdout", "connectTimeout: 3s").replace(
    "defaultProviders: {tracing: [spans]}",
    "defaultHttpRetryPolicy: {attempts: 5}\n    outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}\n"
    "    discoverySelectors: [{matchLabels: {kubernetes.io/metadata.name: default}}]",
)
FURTHER_MESH = MESH.replace(
    "accessLogFile: /dev/stdout",
    "defaultConfig: {tracing: {zipkin: {address: 'zipkin.example.com:9411'}},"
    " proxyHeaders: {attemptCount: {disabled: true}}}\n"
    "    caCertificates: [{spiffeBundleUrl: 'https://b.example/bundle.json', trustDomains: [b.example]}]\n"
    "    trustDomainAliases: [old]\n    proxyHttpPort: 15002\n    inboundTrafficPolicy: {mode: LOCALHOST}",
).replace(
    "defaultProviders: {tracing: [spans]}",
    "defaultTrafficPolicy: {outlierDetection: {interval: 1s}, connectionPool: {tcp: {idleTimeout: 9s}}}\n"
    "    tlsDefaults: {minProtocolVersion: TLSV1_3}\n    defaultServiceExportTo: ['.']\n"
    "    defaultVirtualServiceExportTo: [other]\n    defaultDestinationRuleExportTo: ['.']",
)

OWN_DOMAIN = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "trustDomain: far.example"}
"""
BUNDLES = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: isthmus-trust-bundles, namespace: istio-system}}
data:
  old: {msgspec.json.encode(spiffe_bundle.written(x509.load_bundle(PKI.roots))).decode()}
  broken: ""
"""


PEERS = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: %s, namespace: %s, creationTimestamp: "%s"}
spec: {%s}
"""
OF_REVIEWS = "selector: {matchLabels: {app: reviews}}, "
ALL_PEERS = (
    PEERS % ("whole", "istio-system", "2024-01-01T00:00:00Z", "mtls: {mode: STRICT}"),
    PEERS % ("whole", "default", "2024-01-01T00:00:00Z", "mtls: {mode: DISABLE}"),
    PEERS % ("own", "default", "2024-01-01T00:00:00Z", OF_REVIEWS + "portLevelMtls: {9080: {mode: DISABLE}}"),
    PEERS % ("older", "default", "2023-01-01T00:00:00Z", OF_REVIEWS + "mtls: {mode: PERMISSIVE}"),
)
PLAIN_PEERS = PEERS % ("whole", "istio-system", "2024-01-01T00:00:00Z", "mtls: {mode: DISABLE}")

GATEWAY_API = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, creationTimestamp: "2024-01-01T00:00:00Z"}
spec:
  gatewayClassName: istio
  addresses: [{type: Hostname, value: ingress}]
  listeners:
    - {name: http, port: 80, protocol: HTTP}
    - {name: tcp, port: 9000, protocol: TCP}
""", """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: web}, {group: "", kind: Service, name: reviews}]
  hostnames: [shop.example.com]
  rules:
    - matches: [{path: {value: /a}}]
      backendRefs: [{name: reviews, port: 9080}, {name: ratings, port: 9090, weight: 2}]
""", """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: consumer, namespace: other}
spec:
  parentRefs: [{group: "", kind: Service, name: reviews, namespace: default}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: x.example.com}}]}]
""", """
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: raw}
spec:
  parentRefs: [{name: web, sectionName: tcp}, {group: "", kind: Service, name: headless}]
  rules: [{backendRefs: [{name: headless, port: 7000}]}]
""", """
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: tls}
spec:
  targetRefs: [{group: "", kind: Service, name: reviews}]
  validation: {hostname: reviews.example.com, wellKnownCACertificates: System}
"""  # fmt: skip
AT_EDGE = (
    '{port: {number: 443, name: pass, protocol: TLS}, hosts: ["b.example.com"], tls: {mode: PASSTHROUGH}}',
    '{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com"], tls: {httpsRedirect: true}}',
)
TLS_GATEWAY = tls_gateway("edge", https("a.example.com", "mode: MUTUAL, credentialName: cert"), *AT_EDGE)
OTHER_CREDENTIAL = tls_gateway(
    "edge", https("a.example.com", "mode: SIMPLE, credentialName: other"), *AT_EDGE
)
EDGE_RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ["*.example.com"]
  gateways: [edge, mesh]
  http: [{route: [{destination: {host: ratings}}]}]
  tls: [{match: [{sniHosts: [b.example.com, api.example.com]}], route: [{destination: {host: reviews}}]}]
"""
ORIGINATION = originating("ratings", "cert")
OTHER_NAME = """\
apiVersion: v1
kind: Service
metadata: {name: critics, namespace: default}
spec: {type: ExternalName, externalName: reviews.default.svc.cluster.local}
"""
BY_ZONES = DESTINATION_RULE.replace(
    "subsets", "trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {}}}, subsets"
)
STAYING = ("spec: {", "spec: {sessionAffinity: ClientIP, ")
RULES_BY_OTHER_NAME = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: by-other-name, namespace: default}
spec: {hosts: [critics], http: [{route: [{destination: {host: critics-too}}]}]}
"""
OWN_SERVICES = """\
  mesh: |
    serviceSettings: [{settings: {clusterLocal: true}, hosts: ["*.default.svc.cluster.local"]}]
"""


NAMED_POD = """
apiVersion: v1
kind: Pod
metadata: {name: far-1, labels: {app: other, security.istio.io/tlsMode: istio, topology.istio.io/network: far-net}}
status: {phase: Running, podIP: 10.20.0.78}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: headless-named, labels: {kubernetes.io/service-name: headless}}
addressType: IPv4
ports: [{name: tcp, port: 7000}]
endpoints:
  - {addresses: [10.20.0.78], hostname: far-1, targetRef: {kind: Pod, name: far-1}, conditions: {ready: true}}
"""
OF_PODS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: headless}
spec: {host: headless, subsets: [{name: other, labels: {app: other}}]}
"""
NAMED_ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far-1}
spec:
  hosts: [far-1.headless.default.svc.cluster.local]
  ports: [{number: 7000, name: tcp, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.7}]
"""

POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: %s, namespace: %s}
spec: {%s}
"""
POLICIES = tuple(
    POLICY % each
    for each in (
        ("shut", "default", "selector: {matchLabels: {app: reviews}}"),
        ("all", "istio-system", "action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]"),
        ("served", "default", "targetRefs: [{kind: Service, name: reviews}], rules: [{}]"),
        ("entered", "default", "targetRef: {group: networking.istio.io, kind: ServiceEntry, name: outside}"),
        ("asked", "other", "action: CUSTOM, provider: {name: judge}, rules: [{}]"),
        ("web", "default", "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}]"),
    )
)
OTHER_POLICIES = tuple(
    POLICY % each
    for each in (
        ("shut", "default", "selector: {matchLabels: {app: ratings}}"),
        ("all", "istio-system", "action: CUSTOM, provider: {name: judge}, rules: [{}]"),
        ("served", "default", "targetRefs: [{kind: Service, name: datagrams}], rules: [{}]"),
    )
)


TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: istio-system}
spec: {jwtRules: [{issuer: https://a.example, jwksUri: https://a.example/keys}]}
"""
OWN_TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: own}
spec:
  selector: {matchLabels: {app: reviews}}
  jwtRules:
    - {issuer: https://b.example, outputClaimToHeaders: [{header: x-user, claim: sub}]}
    - {issuer: https://a.example, jwks_uri: https://a.example/keys, forwardOriginalToken: true}
"""
EDGE_TOKENS = OWN_TOKENS.replace("selector: {matchLabels: {app: reviews}}", "targetRefs: [%s]").replace(
    "%s", "{group: gateway.networking.k8s.io, kind: Gateway, name: web}"
)
KEYS = (
    fetched(GKE, KeySource("https://a.example/keys"), NO_KEYS),
    fetched(GKE, KeySource("https://a.example/keys"), KeySet(text=NO_KEYS.text.replace("nobody", "other"))),
    not_fetched(GKE, KeySource("https://a.example/keys"), "no answer"),
    fetched(GKE, source_of(JWTRule(issuer="https://b.example")), NO_KEYS),
)
FETCHED = (
    fetched_bundles.fetched(GKE, "https://b.example/bundle.json", PKI.roots.decode()),
    fetched_bundles.fetched(GKE, "https://b.example/bundle.json", Pki("other").roots.decode()),
    fetched_bundles.not_fetched(GKE, "https://b.example/bundle.json", "no answer"),
    fetched_bundles.forgotten(GKE, "https://b.example/bundle.json"),
)


def all_changes():
    """What may come or go, one at a time: slices and pods by themselves, too."""
    ingress = [
        service("ingress", "10.110.0.9", "{port: 80, targetPort: 8080, name: http}").replace(
            "app: ingress", "istio: ingress"
        ),
        pod("gateway", "10.10.0.9").replace("app: reviews", "istio: ingress"),
    ]
    second = [
        service("reviews", "10.110.0.10", "{port: 9080, name: tcp}"),
        service("ratings", "10.110.0.11", "{port: 9090, name: http}"),
        pod("reviews-v1", "10.10.0.12"),
        pod("reviews-v2", "10.10.0.13", "v2"),
    ]
    guessed = service("guess", "10.110.0.70", "{port: 7000, name: what}")
    plain = DESTINATION_RULE.replace("reviews", "guess").replace(
        "subsets", "trafficPolicy: {tls: {mode: SIMPLE}}, subsets"
    )
    config = [guessed, plain, DESTINATION_RULE, VIRTUAL_SERVICE, GATEWAY, HEADLESS, TCP_RULE, INGRESS]
    found = [
        *objects(gke=[*BOOKINFO["gke"], *config, *ingress], onprem=BOOKINFO["onprem"]),
        *objects(gke=[*second, STICKY, SIDECAR, DELEGATING, DELEGATE]),
        *objects(gke=[SHARES, WHOLE, SIDECAR.replace("other", "default")]),
        *objects(gke=[ENTRY, BY_NAME, WORKLOAD]),
        *objects(gke=[UNWELL, PROBED]),
        *objects(gke=[PROBED.replace("9080", "9081")]),
        *objects(gke=[BOUND, CONNECTIONS, SUBNETS]),
        *objects(gke=[SHOWN_HERE]),
        *objects(gke=[MESH_NETWORKS], onprem=[EAST_WEST, NETWORK, NODE]),
        *objects(gke=[BETWEEN, DISTRIBUTED, LOCAL], onprem=[NODE_GATEWAY]),
        *objects(gke=[MESH_NETWORKS + OWN_SERVICES]),
        *objects(gke=[TELEMETRY, OWN_TELEMETRY, MESH]),
        *objects(gke=[OTHER_MESH]),
        *objects(gke=[FURTHER_MESH]),
        *objects(gke=[BUNDLES]),
        *objects(onprem=[OWN_DOMAIN]),
        *objects(onprem=[OWN_DOMAIN.replace("far.example", "old")]),
        *objects(gke=[BUNDLES.replace("old:", "other:")]),
        *objects(gke=list(GATEWAY_API)),
        *objects(gke=[TLS_GATEWAY, EDGE_RULES, ORIGINATION]),
        *objects(gke=[OTHER_CREDENTIAL]),
        *(
            put(ClusterId("gke"), tls_secret(name, SHOWN, "default"))
            for name in ("cert", "other", "cert-cacert")
        ),
        put(ClusterId("gke"), secret("cert", "default", **{"ca.crt": PKI.roots})),
        *objects(gke=[DATAGRAMS, BARE, TUNNELLED, LOGS], onprem=[DATAGRAMS.replace("110", "120")]),
        *objects(gke=[DATAGRAMS.replace("UDP", "TCP").replace("dns", "http")]),
        *objects(gke=[BINDING]),
        *objects(gke=[OTHER_NAME, OTHER_NAME.replace("critics", "critics-too"), RULES_BY_OTHER_NAME]),
        *objects(gke=[OTHER_NAME.replace("Name: reviews", "Name: critics-too")]),
        *objects(gke=[service("reviews", "10.110.0.10").replace(*STAYING), BY_ZONES]),
        *objects(gke=[PATCHES, LOCAL_PATCHES, EXTENSION, PLUGIN, ROOT_PLUGIN]),
        *objects(gke=[NAMED_PATCHES, OTHER_GATEWAYS, PLUGIN.replace("name: plugin", "name: second")]),
        *objects(gke=[ROOT_STICKY, *PLAINS]),
        *objects(gke=list(POLICIES)),
        *objects(gke=list(OTHER_POLICIES)),
        *objects(gke=list(ALL_PEERS)),
        *objects(gke=[PLAIN_PEERS]),
        *objects(gke=[TOKENS, OWN_TOKENS]),
        *objects(gke=[EDGE_TOKENS]),
        *KEYS,
        *FETCHED,
        *objects(onprem=[HEADLESS, *NAMED_POD.split("---\n")]),
        *objects(gke=[OF_PODS, NAMED_ENTRY], onprem=[NAMED_POD.split("---\n")[1].replace("true", "false")]),
    ]
    return [*found, *(Change(change.key, None) for change in found)]


SHOWN = PKI.leaf(dns=("a.example.com",))
CHANGES = all_changes()


def as_if_new(proxies, last, ask):
    """What `proxies` are told; without what is withheld of types of which the last good ones stay then."""
    about = {found.ref.kind for found in last.findings if found.code is Code.NOT_SENT}
    withheld = {LISTENER if kind.startswith(("Sidecar", "Gateway")) else ROUTES for kind in about}
    found = {key: each for proxy in proxies for key, each in told(ask(), [proxy]).items()}
    return {key: each for key, each in found.items() if key[1] not in withheld}


def test_a_pod_that_takes_datagrams_at_a_door_is_sent_no_listener_there_until_it_is_gone():
    name, proxy = "outbound-udp|53||datagrams.default.svc.cluster.local", PROXIES[0]
    mesh, binding = Translation(), objects(gke=[BINDING])[-1]
    steps = [objects(gke=[DATAGRAMS]), [binding], [Change(binding.key, None)]]
    for batch, there in zip(steps, (True, False, True), strict=True):
        generation = mesh.take(*batch)
        touched = generation.touched(proxy, LISTENER)
        assert touched is None or name in touched
        for asked in (None, frozenset({name})):
            found = {one.name for one in generation.resources(proxy, LISTENER, asked)}
            assert (name in found) is there


def test_a_pod_behind_a_gateway_is_a_service_while_it_is_there_unless_somebody_wrote_one():
    host, proxy = "far-1.headless.default.svc.cluster.local", PROXIES[0]
    name, far = f"outbound|7000||{host}", objects(onprem=[HEADLESS, *NAMED_POD.split("---\n")])
    mesh, gateway, entry = Translation(), objects(onprem=[EAST_WEST])[-1], objects(gke=[NAMED_ENTRY])[-1]
    gone = Change(far[-1].key, None)
    steps = [[gateway], far, [entry], [Change(entry.key, None)], [gone], far, [Change(gateway.key, None)]]
    told_of = (False, True, True, True, False, True, False)
    for batch, there in zip(steps, told_of, strict=True):
        generation = mesh.take(*batch)
        touched = generation.touched(proxy, UPSTREAM)
        assert touched is None or name in touched or not there
        assert (name in {one.name for one in generation.resources(proxy, UPSTREAM, None)}) is there


FAR_POD = """
apiVersion: v1
kind: Pod
metadata: {name: far-0, labels: {app: reviews, topology.istio.io/network: far-net}}
status: {phase: Running, podIP: 10.20.0.77}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: headless-far, labels: {kubernetes.io/service-name: headless}}
addressType: IPv4
ports: [{name: tcp, port: 7000}]
endpoints: [{addresses: [10.20.0.77], targetRef: {kind: Pod, name: far-0}}]
"""


def test_a_headless_pod_has_a_listener_until_its_network_is_entered_by_a_gateway():
    name, proxy = "10.20.0.77_7000", PROXIES[0]
    mesh, gateway = Translation(), objects(onprem=[EAST_WEST])[-1]
    steps = [objects(onprem=[HEADLESS, *FAR_POD.split("---\n")]), [gateway], [Change(gateway.key, None)]]
    for batch, there in zip(steps, (True, False, True), strict=True):
        generation = mesh.take(*batch)
        touched = generation.touched(proxy, LISTENER)
        assert touched is None or name in touched
        assert (name in {one.name for one in generation.resources(proxy, LISTENER, None)}) is there


BATCH = st.lists(st.sampled_from(range(len(CHANGES))), min_size=1, max_size=4)


def captured(mode):
    """The proxies, if traffic comes to them so."""
    said = ("INTERCEPTION_MODE", mode)
    return tuple(msgspec.structs.replace(one, metadata=(*one.metadata, said)) for one in PROXIES)


@in_shares(60)
def test_step_by_step_is_from_nothing_and_what_differs_was_touched(share):
    @given(st.lists(BATCH, min_size=1, max_size=8), st.sampled_from(MODES).map(captured))
    def holds(batches, proxies):
        must_hold(batches, proxies)

    share.run(holds)


def must_hold(batches, proxies):
    """After each step what differs was touched, and after all each proxy is told what it would be without them."""
    mesh = Translation(*CHANGES[: len(CHANGES) // 4])
    before = told(mesh.now, proxies)
    for batch in batches:
        generation = mesh.take(*(CHANGES[index] for index in batch))
        after = told(generation, proxies)
        for proxy in proxies:
            for type_url in TYPES:
                touched = generation.touched(proxy, type_url)
                differs = differing(before[proxy, type_url], after[proxy, type_url])
                assert touched is None or differs <= touched, (proxy.name, type_url)
        before = after
    everything_at_once = msgspec.structs.replace(mesh.delta, everything=True)

    def from_nothing():
        """For each proxy by itself: what proxies share must be right for each of them."""
        return Translator().generation(mesh.builder.mesh, everything_at_once)

    assert as_if_new(proxies, generation, from_nothing) == as_if_new(proxies, generation, lambda: generation)
