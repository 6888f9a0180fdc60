"""Expressions in CEL as Envoy's RBAC rules have them: parsed, as JSON."""

from __future__ import annotations

from functools import cache

from cel_expr_python import cel
from google.protobuf import json_format

from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import Any, ParsedExpr


@cache
def condition(text):
    """The expression for a policy's `condition`."""
    packed = cel.NewEnv().compile(text, disable_check=True).serialize()
    parsed = ParsedExpr.FromString(Any.FromString(packed).value)
    return json_format.MessageToDict(parsed.expr, descriptor_pool=pool())
