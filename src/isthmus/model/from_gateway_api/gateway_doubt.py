"""What stands against a Gateway as a whole."""

from __future__ import annotations

from isthmus.api.gateway_api.gateway import Gateway
from isthmus.model.from_gateway_api.references import Doubt


def gateway_doubt(gateway: Gateway) -> Doubt | None:
    """The reason why none of its listeners is run; None where there is none."""
    infrastructure = gateway.spec.infrastructure
    if infrastructure is not None and infrastructure.parameters_ref is not None:
        kind = infrastructure.parameters_ref.kind
        path = "$.spec.infrastructure.parametersRef"
        return Doubt("InvalidParameters", path, f"{kind} says nothing to this mesh (hint: leave it out)")
    for index, address in enumerate(gateway.spec.addresses):
        if address.type not in {"IPAddress", "Hostname"}:
            message = f"is {address.type} (hint: IPAddress or Hostname)"
            return Doubt("UnsupportedAddress", f"$.spec.addresses[{index}].type", message)
    return None
