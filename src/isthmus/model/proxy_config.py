"""What holds for single proxies: the mesh's `defaultConfig`, then ProxyConfigs, then the pod's own words.

Source: Istio's reference: merged field by field, a field as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from isthmus.api.durations import duration_problems
from isthmus.api.errors import InvalidConfig, Problem
from isthmus.api.istio.proxy_config import ProxyConfig, ProxyConfigObject
from isthmus.api.shape import shaped
from isthmus.api.yaml import documents
from isthmus.model.mesh_wide_tls import without_credentials
from isthmus.model.proxy_config_problems import proxy_problems
from isthmus.model.rules import age

ANNOTATION = "proxy.istio.io/config"
"""By which a pod says what holds for its proxy."""


def merged(wider: ProxyConfig, own: ProxyConfig) -> ProxyConfig:
    """`wider` with all fields that `own` says anything of."""
    # It is asked for at each change for each proxy: `structs.fields` works types out anew, which takes milliseconds.
    changes = {
        name: value
        for name in ProxyConfig.__struct_fields__
        if (value := getattr(own, name)) != getattr(_SILENT, name)
    }
    return msgspec.structs.replace(wider, **changes) if changes else wider


_SILENT = ProxyConfig()


def said(part: msgspec.Struct) -> dict[str, object]:
    """The fields that a part says anything of, as one would write them."""
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        if value != _usual(field):
            found[field.encode_name] = said(value) if isinstance(value, msgspec.Struct) else value
    return found


def _usual(field: msgspec.structs.FieldInfo) -> object:
    return {} if field.default is msgspec.NODEFAULT else field.default


def read_proxy_config(text: str) -> tuple[ProxyConfig, tuple[Problem, ...]]:
    """What an annotation says, in YAML, and what of it has no effect though it is not wrong.

    Raises `InvalidConfig` with all that is wrong.
    """
    found = [document.value for document in documents(text)]
    read = shaped(found[0] if found else {}, ProxyConfig, as_protobuf=True)
    kept, silent = without_credentials(read.rest) if read.rest is not None else (None, ())
    read = read._replace(rest=kept)
    wrong = read.all_wrong(_problems)
    if wrong or read.rest is None:
        raise InvalidConfig(*wrong[0], others=wrong[1:])
    return read.rest, silent


def _problems(found: ProxyConfig) -> Iterator[Problem]:
    yield from proxy_problems(found, "$")
    yield from duration_problems(found)


def of_objects(
    found: Iterable[ProxyConfigObject], root: str, where: str, labels: dict[str, str]
) -> ProxyConfig:
    """What the objects say for a pod in the namespace `where`: of the mesh, its namespace, its labels.

    Of several at one place the oldest counts.
    """
    scopes: dict[int, ProxyConfigObject] = {}
    for each in sorted(found, key=age):
        selector, namespace = each.spec.selector, each.metadata.namespace
        if selector is not None:
            if namespace == where and selector.match_labels.items() <= labels.items():
                scopes.setdefault(2, each)
        elif namespace in {where, root}:
            scopes.setdefault(1 if namespace == where != root else 0, each)
    config = ProxyConfig()
    for _, each in sorted(scopes.items()):
        spec = each.spec
        own = ProxyConfig(
            concurrency=spec.concurrency, proxy_metadata=spec.environment_variables, image=spec.image
        )
        config = merged(config, own)
    return config
