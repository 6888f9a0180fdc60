"""What findings are about: a code, its name, how much it matters, and what it means.

Where Istio's analyzer has a message of that meaning, code and name are Istio's: "Configuration analysis
messages". Codes that begin with ISM are our own. docs/reference/findings.md is made from this list and the
cases in tests/findings.
"""

from __future__ import annotations

from enum import Enum

from isthmus.api.described import docstrings


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"  # the object, or a part of it, has no effect
    WARNING = "warning"  # it has an effect that its author may not have meant
    INFO = "info"


_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


class Code(Enum):
    """What a finding is about."""

    DEPRECATED = ("IST0002", "Deprecated", _WARNING)
    """A field is used that another one has replaced."""
    NOT_FOUND = ("IST0101", "ReferencedResourceNotFound", _ERROR)
    """Something is named that is not there."""
    NOT_INJECTED = ("IST0102", "NamespaceNotInjected", _INFO)
    """A namespace does not say whether its pods get sidecars, and none of them has one."""
    NO_SIDECAR = ("IST0103", "PodMissingProxy", _WARNING)
    """A pod has no sidecar, though its namespace asks for them."""
    SCHEMA = ("IST0106", "SchemaValidationError", _ERROR)
    """An object by itself is not as its kind has it."""
    MISPLACED_ANNOTATION = ("IST0107", "MisplacedAnnotation", _WARNING)
    """An annotation stands on a kind of object that it is not for."""
    UNKNOWN_ANNOTATION = ("IST0108", "UnknownAnnotation", _WARNING)
    """An annotation begins like Istio's, and Istio has none of that name."""
    SAME_HOSTS = ("IST0109", "ConflictingMeshGatewayVirtualServiceHosts", _ERROR)
    """Two VirtualServices hold for one host in sidecars, of which one alone counts."""
    SAME_SELECTOR = ("IST0110", "ConflictingSidecarWorkloadSelectors", _ERROR)
    """Two Sidecars select the same workloads, of which one alone counts."""
    SEVERAL_SIDECARS = ("IST0111", "MultipleSidecarsWithoutWorkloadSelectors", _ERROR)
    """Two Sidecars are for a whole namespace, of which one alone counts."""
    TLS_CONFLICT = ("IST0113", "MTLSPolicyConflict", _ERROR)
    """A DestinationRule has callers come on terms on which the other side takes nobody."""
    PORT_REQUIRED = ("IST0112", "VirtualServiceDestinationPortSelectorRequired", _ERROR)
    """A destination has several ports, and nothing says which of them is meant."""
    SEVERAL_PROTOCOLS = ("IST0116", "DeploymentAssociatedToMultipleServices", _WARNING)
    """Services that share pods speak different protocols on one port of them."""
    PORT_NAME = ("IST0118", "PortNameIsNotUnderNamingConvention", _INFO)
    """What is spoken on a port is not said by its name or appProtocol, and must be found out for each connection."""
    TOKENS_UNSEEN = ("IST0119", "JwtFailureDueToInvalidServicePortPrefix", _WARNING)
    """Tokens are to be checked for a workload, and one of its ports takes no requests that could have any."""
    INVALID_REGEX = ("IST0122", "InvalidRegexp", _ERROR)
    """A regular expression is not one of RE2."""
    INJECTION_LABELS = ("IST0123", "NamespaceMultipleInjectionLabels", _WARNING)
    """A namespace has more than one label that says whether its pods get sidecars."""
    INVALID_ANNOTATION = ("IST0125", "InvalidAnnotation", _WARNING)
    """An annotation has a value that it cannot have."""
    UNKNOWN_REGISTRY = ("IST0126", "UnknownMeshNetworksServiceRegistry", _ERROR)
    """MeshNetworks put a cluster into a network that is none of the mesh."""
    NO_WORKLOADS = ("IST0127", "NoMatchingWorkloadsFound", _WARNING)
    """A selector finds no workload."""
    NOT_VERIFIED = ("IST0128", "NoServerCertificateVerificationDestinationLevel", _WARNING)
    """TLS is asked for, and nothing says which authorities are trusted: anybody may answer."""
    NOT_VERIFIED_ON_PORT = ("IST0129", "NoServerCertificateVerificationPortLevel", _WARNING)
    """TLS is asked for on a port, and nothing says which authorities are trusted: anybody may answer."""
    UNREACHABLE_RULE = ("IST0130", "VirtualServiceUnreachableRule", _WARNING)
    """No request meets a rule, since rules before it take all that it matches."""
    INEFFECTIVE_MATCH = ("IST0131", "VirtualServiceIneffectiveMatch", _INFO)
    """One of the matches of a rule is never met, since a rule before it takes all of that."""
    HOST_NOT_IN_GATEWAY = ("IST0132", "VirtualServiceHostNotFoundInGateway", _WARNING)
    """A VirtualService is bound to a Gateway that does not let its host in."""
    ADDRESS_REQUIRED = ("IST0134", "ServiceEntryAddressesRequired", _WARNING)
    """A ServiceEntry has a port for plain connections and no address by which they could be told apart."""
    DEPRECATED_ANNOTATION = ("IST0135", "DeprecatedAnnotation", _INFO)
    """An annotation is used that Istio has given up."""
    CONFLICTING_PORTS = ("IST0137", "DeploymentConflictingPorts", _INFO)
    """Services that share pods lead to one port of them from different ports of their own."""
    SAME_CERTIFICATE = ("IST0138", "GatewayDuplicateCertificate", _WARNING)
    """Two Gateways give out one certificate; browsers then reuse a connection for the hosts of the other."""
    NOT_AT_INGRESS = ("IST0140", "IngressRouteRulesNotAffected", _INFO)
    """Rules of the mesh choose subsets of a service that a gateway leads to without them."""
    RESERVED_UID = ("IST0144", "InvalidApplicationUID", _WARNING)
    """A container runs as user 1337, whose traffic is not captured since it is the sidecar's."""
    SAME_SERVERS = ("IST0145", "ConflictingGateways", _ERROR)
    """Two Gateways open one port of the same proxies for the same host."""
    AUTO_IMAGE_IN_TEMPLATE = ("IST0146", "ImageAutoWithoutInjectionWarning", _WARNING)
    """A template of pods has `image: auto`, which nobody replaces."""
    AUTO_IMAGE = ("IST0147", "ImageAutoWithoutInjectionError", _ERROR)
    """A pod has `image: auto`, which nobody replaced."""
    CLAIMS = ("IST0149", "JwtClaimBasedRoutingWithoutRequestAuthN", _WARNING)
    """A rule asks for a claim of the caller's token, and nothing checks tokens, so that no request has any."""
    EXTERNAL_NAME_PORT = ("IST0150", "ExternalNameServiceTypeInvalidPortName", _WARNING)
    """An ExternalName Service has a port for plain connections, which are taken from everybody else."""
    RELATIVE_PATCH = ("IST0151", "EnvoyFilterUsesRelativeOperation", _WARNING)
    """A patch is placed by another EnvoyFilter's, and no priority says which of them comes first."""
    PATCH_REPLACE = ("IST0152", "EnvoyFilterUsesReplaceOperationIncorrectly", _ERROR)
    """REPLACE is asked for where it means nothing."""
    PATCH_ADD = ("IST0153", "EnvoyFilterUsesAddOperationIncorrectly", _ERROR)
    """ADD is asked for where it means nothing."""
    PATCH_REMOVE = ("IST0154", "EnvoyFilterUsesRemoveOperationIncorrectly", _ERROR)
    """REMOVE is asked for where it means nothing."""
    PATCH_OF_VERSION = ("IST0155", "EnvoyFilterUsesRelativeOperationWithProxyVersion", _WARNING)
    """A relative patch is for certain versions of proxies, so that it may end with an upgrade."""
    TELEMETRY_PROVIDER = ("IST0157", "InvalidTelemetryProvider", _WARNING)
    """A Telemetry names a provider that MeshConfig has not, or one of another sort."""
    SAME_TELEMETRY_SELECTOR = ("IST0159", "ConflictingTelemetryWorkloadSelectors", _ERROR)
    """Two Telemetries select the same workloads, of which one alone counts."""
    SEVERAL_TELEMETRIES = ("IST0160", "MultipleTelemetriesWithoutWorkloadSelectors", _ERROR)
    """Two Telemetries are for a whole namespace, of which one alone counts."""
    CREDENTIAL = ("IST0161", "InvalidGatewayCredential", _ERROR)
    """What proxies shall show or believe is no certificate that they can use."""
    PORT_NOT_SERVED = ("IST0162", "GatewayPortNotDefinedOnService", _WARNING)
    """A Gateway opens a port that no Service of its pods leads to."""
    INTERNAL_GATEWAY = ("IST0165", "ReferencedInternalGateway", _WARNING)
    """A VirtualService names a Gateway that is made from the Gateway API."""
    FOR_NO_SIDECAR = ("IST0167", "IneffectivePolicy", _WARNING)
    """A Sidecar is for pods that have none, since they are in Istio's ambient mode."""
    CLUSTERS_DIFFER = ("IST0170", "MultiClusterInconsistentService", _WARNING)
    """A service is not the same in all clusters that have it."""
    NOT_ACCEPTED = ("IST0171", "NegativeConditionStatus", _ERROR)
    """An object of the Gateway API, or a part of it, is not accepted; the conditions of its status say the same."""
    SUBSET_EMPTY = ("IST0173", "DestinationRuleSubsetNotSelectPods", _WARNING)
    """No cluster has an endpoint with the labels of a subset."""
    RULE_FOR_NOBODY = ("IST0174", "UnknownDestinationRuleHost", _WARNING)
    """A DestinationRule is for a host that no service has."""
    OTHER = ("ISM0000", "Finding", _WARNING)
    """Something that this version does not know, as a newer Pilot may tell it."""
    CLUSTER = ("ISM0001", "ClusterLeftOut", _ERROR)
    """A cluster is named, and cannot be followed as it is said."""
    CLUSTER_AS_IT_WAS = ("ISM0071", "ClusterAsItWas", _WARNING)
    """A cluster does not answer a Pilot that has started, and is served as it was known last, from disk."""
    CLUSTER_NOT_KEPT = ("ISM0072", "ClusterNotKept", _WARNING)
    """What is on disk of a cluster does not count, or nothing new comes there."""
    CLUSTER_UNKNOWN = ("ISM0073", "ClusterUnknown", _ERROR)
    """A cluster does not answer a Pilot that has started, and what is not known of it is in no proxy."""
    OVERRULED = ("ISM0002", "DestinationRuleOverruled", _WARNING)
    """The policy of a DestinationRule is another one's."""
    DELEGATE = ("ISM0003", "DelegateWithoutEffect", _ERROR)
    """Routes are left to a VirtualService that has none to give."""
    NOT_READ_HERE = ("ISM0004", "ConfigurationReadElsewhere", _INFO)
    """Configuration is in a cluster from which none is read, and in no other."""
    NOT_SENT = ("ISM0005", "NotSentToProxies", _ERROR)
    """What an object asks for cannot be said to Envoy; proxies keep what they had, or do without it."""
    PATCH = ("ISM0006", "PatchWithoutEffect", _WARNING)
    """A patch finds nothing, or fits nowhere."""
    NO_EFFECT = ("ISM0007", "FieldWithoutEffect", _WARNING)
    """A field has no effect in this release."""
    ANNOTATION_UNREAD = ("ISM0008", "AnnotationWithoutEffect", _INFO)
    """An annotation of Istio's has no effect in this release."""
    NETWORKS_OVERLAP = ("ISM0011", "NetworksOverlap", _WARNING)
    """An address may be in either of two networks."""
    NETWORK_WITHOUT_GATEWAY = ("ISM0012", "NetworkWithoutGateway", _WARNING)
    """A network has endpoints, and no gateway to them."""
    GATEWAY_OUT_OF_REACH = ("ISM0013", "NetworkGatewayOutOfReach", _WARNING)
    """A gateway between networks lets nobody in."""
    NETWORK_CLOSED = ("ISM0014", "EndpointsBehindNoGateway", _WARNING)
    """Callers in one network reach no endpoint of a service that has some in another."""
    FAMILIES_APART = ("ISM0016", "NoCommonFamily", _WARNING)
    """Callers and the endpoints of services have no version of IP in common."""
    COPIES_DIFFER = ("ISM0010", "CopiesDifferBetweenClusters", _WARNING)
    """An object of configuration is in several clusters under one name, and is not the same."""
    HOST_TAKEN = ("ISM0021", "HostOfSeveralServices", _WARNING)
    """Services of several namespaces have one host; a proxy is told of one of them."""
    ADDRESS_TAKEN = ("ISM0022", "AddressOfSeveralServices", _WARNING)
    """Services have one address and port; connections to it go to the oldest."""
    SIDECARS_DIFFER = ("ISM0023", "SidecarMissingInCluster", _WARNING)
    """A service's endpoints have sidecars in one cluster and none in another."""
    LOCALITY_UNKNOWN = ("ISM0024", "LocalityUnknown", _INFO)
    """Nobody knows where the endpoints of a cluster are, though others say it: they count as near for everybody."""
    NOBODY_REACHES = ("ISM0025", "GatewayWithoutService", _WARNING)
    """No Service leads to the pods of a Gateway."""
    INJECTION_DIFFERS = ("ISM0026", "InjectionDiffersBetweenClusters", _WARNING)
    """A namespace gets sidecars in one cluster and none in another."""
    RANGES_OVERLAP = ("ISM0027", "AddressRangesOverlap", _WARNING)
    """An address range of a ServiceEntry holds the addresses of Services."""
    NOT_FOR_DATAGRAMS = ("ISM0031", "RuleWithoutDatagrams", _WARNING)
    """A rule is for a port that takes datagrams alone, for which it does not hold."""
    DATAGRAMS_READABLE = ("ISM0032", "DatagramsReadable", _WARNING)
    """Some endpoints of a port for datagrams have no sidecar, so that they are in mutual TLS to none."""
    CERTIFICATE_ENDS = ("ISM0028", "CertificateEnds", _WARNING)
    """A certificate in a Secret comes to its end, or what its CA says of it has."""
    DATAGRAMS_PASS = ("ISM0033", "DatagramsPassBy", _WARNING)
    """Envoy cannot take datagrams to a service, so that they pass it by as they are."""
    TRUST_BUNDLE = ("ISM0061", "TrustBundleNotRead", _ERROR)
    """Roots of a trust domain cannot be read."""
    TRUST_OVERLAP = ("ISM0062", "TrustDomainsOverlap", _WARNING)
    """Roots vouch for several trust domains."""
    PEERS_OVERRULED = ("ISM0035", "PeerAuthenticationOverruled", _ERROR)
    """Two PeerAuthentications are for the same workloads, of which one alone counts."""
    PEERS_UNHEEDED = ("ISM0036", "PeerAuthenticationUnheeded", _WARNING)
    """A PeerAuthentication asks for terms that no sidecar holds callers to."""
    PLAIN_BEHIND_GATEWAY = ("ISM0037", "PlainTextBehindGateway", _WARNING)
    """A service is called in plain text alone, and some callers could reach it in mutual TLS alone."""
    TERMS_APART = ("ISM0038", "EndpointsOnDifferentTerms", _WARNING)
    """Endpoints that callers cannot tell apart are called on different terms, so that some refuse."""
    PROBES_SHUT_OUT = ("ISM0039", "ProbesShutOut", _WARNING)
    """A policy refuses the kubelet, which asks for a probe past the agent: the pod never gets ready, or is ended."""
    AUTHORIZER = ("ISM0041", "NobodyToAsk", _ERROR)
    """An AuthorizationPolicy asks a provider that MeshConfig has not, or of another sort, or that is not there."""
    NOT_FOR_CONNECTIONS = ("ISM0042", "RuleWithoutRequests", _WARNING)
    """A rule of an AuthorizationPolicy asks for something of requests on a port where connections alone are known."""
    DOMAIN_UNKNOWN = ("ISM0043", "TrustDomainUnknown", _WARNING)
    """An AuthorizationPolicy names callers of a trust domain whose certificates nobody takes, or that is not theirs."""
    TOKENS_UNCHECKED = ("ISM0044", "TokensUnchecked", _WARNING)
    """An AuthorizationPolicy asks what a token says where no RequestAuthentication checks any."""
    CALLERS_UNKNOWN = ("ISM0045", "CallersUnknown", _WARNING)
    """An AuthorizationPolicy asks who calls where all calls come in plain text."""
    CALLERS_NAMELESS = ("ISM0046", "CallersNameless", _WARNING)
    """A rule of an AuthorizationPolicy hangs on who calls, and whoever comes in plain text gets past it."""
    NOT_REGISTERED = ("ISM0034", "WorkloadNotRegistered", _WARNING)
    """A workload asks for an entry of a WorkloadGroup, and gets none."""
    NO_KEYS = ("ISM0051", "IssuerKeysNotFetched", _ERROR)
    """The keys of an issuer cannot be had: its tokens are refused, or believed by the last good ones."""
    DOUBTFUL_KEYS = ("ISM0052", "IssuerKeysDoubtful", _WARNING)
    """Others than an issuer could make its tokens, or some of its keys cannot be used."""

    @property
    def number(self) -> str:
        return self.value[0]

    @property
    def title(self) -> str:
        return self.value[1]

    @property
    def severity(self) -> Severity:
        """How much it usually matters."""
        return self.value[2]

    @property
    def meaning(self) -> str:
        """One sentence: the docstring under the code."""
        return docstrings(Code)[self.name]

    @property
    def page(self) -> str:
        """Where Istio explains it; empty for what only we say."""
        return _ISTIO_PAGE.format(self.number.lower()) if self.number.startswith("IST") else ""


_ISTIO_PAGE = "https://istio.io/latest/docs/reference/config/analysis/{}/"
_BY_NUMBER = {code.number: code for code in Code}


def code_numbered(number: str) -> Code:
    """The code of that number; that for everything else where a newer Pilot knows more."""
    return _BY_NUMBER.get(number, Code.OTHER)


OF_SCHEMA = frozenset(
    {Code.SCHEMA, Code.INVALID_REGEX, Code.PATCH_REPLACE, Code.PATCH_ADD, Code.PATCH_REMOVE}
)
"""Codes of what is wrong with an object by itself."""

_OPERATIONS = {"REPLACE": Code.PATCH_REPLACE, "ADD": Code.PATCH_ADD, "REMOVE": Code.PATCH_REMOVE}


def code_of_problem(path: str, message: str) -> Code:
    """The code of a problem that was found with an object by itself, by where it is and what is said."""
    if " RE2: " in message:
        return Code.INVALID_REGEX
    if path.endswith(".patch.operation"):
        return _OPERATIONS.get(message.partition(" ")[0], Code.SCHEMA)
    return Code.SCHEMA
