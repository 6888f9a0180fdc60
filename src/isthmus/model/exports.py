"""To whom objects are shown that do not say it: as the mesh's settings have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.model.service import Service
from isthmus.model.setting_parts import Exports


def shown(found: Object, exports: Exports) -> Object:
    """`found`, saying what the mesh says where it says nothing itself."""
    match found:
        case VirtualService() if exports.virtual_services and not found.spec.export_to:
            return _with(found, exports.virtual_services)
        case DestinationRule() if exports.destination_rules and not found.spec.export_to:
            return _with(found, exports.destination_rules)
    return found


def _with(found: VirtualService | DestinationRule, names: tuple[str, ...]) -> Object:
    spec = msgspec.structs.replace(found.spec, export_to=names)
    return msgspec.structs.replace(found, spec=spec)


def service_shown(found: Service | None, exports: Exports) -> Service | None:
    """The same of a service."""
    if found is None or not exports.services or found.export_to:
        return found
    return msgspec.structs.replace(found, export_to=exports.services)


def refs_shown(refs: Iterable[Ref]) -> Iterator[Ref]:
    """Those of objects that the mesh's settings may show to others than before."""
    return (ref for ref in refs if ref.kind in {"VirtualService", "DestinationRule"})
