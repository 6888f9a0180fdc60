"""A finding: wrong or doubtful configuration, as a value."""

from __future__ import annotations

from enum import Enum

import msgspec

from isthmus.api.resource import Ref
from isthmus.model.names import ClusterId


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"  # the object, or a part of it, has no effect
    WARNING = "warning"  # it has an effect that its author may not have meant
    INFO = "info"


class Code(Enum):
    """What a finding is about; where Istio's analyzer has a message of that meaning, by its code and name.

    Source: Istio's "Configuration analysis messages". Codes that begin with ISM are our own.
    """

    NOT_FOUND = ("IST0101", "ReferencedResourceNotFound")
    SCHEMA = ("IST0106", "SchemaValidationError")
    SAME_HOSTS = ("IST0109", "ConflictingMeshGatewayVirtualServiceHosts")
    SAME_SELECTOR = ("IST0110", "ConflictingSidecarWorkloadSelectors")
    SEVERAL_SIDECARS = ("IST0111", "MultipleSidecarsWithoutWorkloadSelectors")
    NO_WORKLOADS = ("IST0127", "NoMatchingWorkloadsFound")
    CLUSTERS_DIFFER = ("IST0170", "MultiClusterInconsistentService")
    SUBSET_EMPTY = ("ISM0001", "SubsetServedByNoCluster")
    OVERRULED = ("ISM0002", "DestinationRuleOverruled")
    DELEGATE = ("ISM0003", "DelegateWithoutEffect")
    NOT_READ_HERE = ("ISM0004", "ConfigurationReadElsewhere")
    NOT_SENT = ("ISM0005", "NotSentToProxies")
    PATCH = ("ISM0006", "PatchWithoutEffect")
    NETWORKS_OVERLAP = ("ISM0011", "NetworksOverlap")
    NETWORK_WITHOUT_GATEWAY = ("ISM0012", "NetworkWithoutGateway")
    GATEWAY_OUT_OF_REACH = ("ISM0013", "NetworkGatewayOutOfReach")
    NETWORK_CLOSED = ("ISM0014", "EndpointsBehindNoGateway")
    OTHER = ("ISM0000", "Finding")

    @property
    def number(self) -> str:
        return self.value[0]

    @property
    def title(self) -> str:
        return self.value[1]


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=False):
    """What is wrong, where, and how to mend it. Never raised; shown by CLI, status and debug pages."""

    ref: Ref
    message: str  # lower case, no full stop, ends in `(hint: …)` where there is one
    path: str = "$"
    cluster: ClusterId = ClusterId("")
    severity: Severity = Severity.ERROR
    code: Code = Code.OTHER

    def __str__(self) -> str:
        place = f' in cluster "{self.cluster}"' if self.cluster else ""
        return f"{self.severity.value}: {self.ref}{place}: {self.path}: {self.message}"
