"""Our definitions, and what an API server that has them says of objects."""

from __future__ import annotations

from functools import cache

from isthmus.api.crd import custom_resource_definitions, gateway_api_definitions
from isthmus.lab.apiserver.builtin import builtin_types
from isthmus.lab.apiserver.crds import CustomResources
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.tables import Tables
from isthmus.lab.apiserver.validation import Validation


@cache
def _defined():
    types, schemas = builtin_types(), Schemas()
    custom = CustomResources(types, schemas, Tables())
    for crd in (*custom_resource_definitions(), *gateway_api_definitions()):
        custom.serve(crd)
    return types, Validation(schemas)


def causes(obj):
    """Why the API server refuses an object of one of our kinds; none: it takes it."""
    types, validation = _defined()
    each = types.by_kind(obj["apiVersion"], obj["kind"])
    return validation.validate(each, validation.prune(each, obj))
