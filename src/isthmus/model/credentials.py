"""The credentials of all clusters, as far as they are followed: the last good state of each."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.secret import Secret
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Object, Ref
from isthmus.model import maps, trust_bundles
from isthmus.model.change import UNKNOWN, Change
from isthmus.model.credential import ABSENT, CREDENTIAL_KINDS, Credential, credential_of
from isthmus.model.credential_key import CredentialKey
from isthmus.model.findings import Code, Finding
from isthmus.model.names import ClusterId


class Credentials:
    """Takes changes of Secrets and ConfigMaps; what is wrong never takes a good one away."""

    def __init__(self, settings: Ref) -> None:
        self._read_elsewhere = {settings, settings._replace(name=trust_bundles.CONFIG_MAP)}
        self.found: Mapping[CredentialKey, Credential] = {}

    def are_meant(self, ref: Ref) -> bool:
        """Whether `ref` may hold a credential: not so the ConfigMaps of the mesh's own settings."""
        return ref.kind in CREDENTIAL_KINDS and ref not in self._read_elsewhere

    def take(self, change: Change) -> Finding | None:
        """Take up what is known of a Secret or ConfigMap now; returns what is wrong with it."""
        key = CredentialKey(*change.key)
        finding = change.value if isinstance(change.value, Finding) else None
        made: Credential | None = ABSENT
        if change.value is UNKNOWN:
            made = None
        elif isinstance(change.value, Object):
            try:
                made = _read(change.value)
            except InvalidConfig as error:
                finding = Finding(
                    ref=key.ref,
                    path=error.path,
                    message=error.message,
                    cluster=key.cluster,
                    code=Code.CREDENTIAL,
                )
        if finding is not None:
            made = self.found.get(key, ABSENT)
        self._put({key: made})
        return finding

    def drop(self, cluster: ClusterId) -> None:
        """Forget the credentials of a cluster that is gone."""
        self._put({key: None for key in self.found if key.cluster == cluster})

    def _put(self, changes: Mapping[CredentialKey, Credential | None]) -> None:
        kept = {
            key: maps.same(self.found.get(key), made) if made is not None else None
            for key, made in changes.items()
        }
        self.found = maps.updated(self.found, kept)


def _read(found: Object) -> Credential:
    return credential_of(found) if isinstance(found, Secret | ConfigMap) else ABSENT
