"""The roots of a signer that tells none itself: `caCertificates` of the mesh's settings, as Istio has them.

Entries that name the signer in `certSigners` count for it; where none does, those that name no signer at all.
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_config import CertificateData
from isthmus.api.resource import Kind, Object, Ref
from isthmus.ca.issuers.trusted import Trusted
from isthmus.kit import spiffe_bundle
from isthmus.kit.scopes import ca as log
from isthmus.kit.spiffe_bundle import InvalidBundle
from isthmus.kube.client import Client, Scope
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch
from isthmus.model.mesh_config_problems import checked_mesh_config

CONFIG_MAP, KEY = "istio", "mesh"
_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)


class MeshRoots:
    """Tells `trusted` the roots of `signer`. Of settings that cannot be read, or tell none, the last good ones stay."""

    def __init__(self, signer: str, trust_domain: str, trusted: Trusted) -> None:
        self._signer, self._trust_domain, self._trusted = signer, trust_domain, trusted

    async def run(self, client: Client, namespace: str) -> None:
        """Follow the settings in `namespace` until cancelled."""
        scope = Scope(namespace, fields=f"metadata.name={CONFIG_MAP}")
        await Informer(_CONFIG_MAPS, Watch(client, _CONFIG_MAPS, scope), self._seen).run()

    def _seen(self, _: Ref, now: Object | InvalidConfig | None) -> None:
        """The settings came, changed or went (an informer's handler)."""
        text = now.data.get(KEY, "") if isinstance(now, ConfigMap) else ""
        try:
            roots = self._roots(checked_mesh_config(text)[0].ca_certificates)
        except (InvalidConfig, InvalidBundle) as error:
            log.error("roots of the signer not read, the last good ones stay", reason=str(error))
            return
        if roots:
            self._trusted.told(roots)
        else:
            hint = f"caCertificates with certSigners: [{self._signer}], or --issuer-roots FILE"
            log.error("the mesh's settings tell no roots of the signer", signer=self._signer, hint=hint)

    def _roots(self, written: Iterable[CertificateData]) -> bytes:
        ours = [
            each
            for each in written
            if each.pem and (not each.trust_domains or self._trust_domain in each.trust_domains)
        ]
        named = [each for each in ours if self._signer in each.cert_signers]
        chosen = named or [each for each in ours if not each.cert_signers]
        return b"".join(dict.fromkeys(spiffe_bundle.checked_roots(each.pem.encode()) for each in chosen))
