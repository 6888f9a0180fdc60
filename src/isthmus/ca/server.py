"""Istio's certificate service: who are you, and here is a certificate for exactly that.

A caller gets its own identity and no other: the request has no say in it. Every certificate that is
issued leaves a line in the log, with who, from where, the serial number and the end.
"""

from __future__ import annotations

import msgspec

from isthmus.ca.attest import Attester, NotProven, ReviewUnavailable
from isthmus.ca.authority import Authority, Issued
from isthmus.ca.limits import Limiter, Rate
from isthmus.kit import x509
from isthmus.kit.clock import Clock
from isthmus.kit.duration import show
from isthmus.kit.log import log
from isthmus.kit.metrics import CERTIFICATES, CSR_ERRORS
from isthmus.kit.watchable import Watchable
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import CREATE_CERTIFICATE, SigningAnswer, SigningRequest
from isthmus.wire.serve import Handler, Unary
from isthmus.wire.stream import Call, Code, Refused


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How often callers may ask: each identity for itself, and each address before it has proven one."""

    identity: Rate = Rate(per_s=10.0, burst=100.0)
    address: Rate = Rate(per_s=20.0, burst=100.0)


class CertificateService:
    """Answers `CreateCertificate` with certificates of the newest `authority`."""

    def __init__(
        self, authority: Watchable[Authority], attester: Attester, limits: Limits, clock: Clock
    ) -> None:
        self._authority, self._attester, self._clock = authority, attester, clock
        self._by_identity = Limiter(limits.identity, clock)
        self._by_address = Limiter(limits.address, clock)

    def services(self) -> dict[str, Handler]:
        """The table for a `GrpcServer`."""
        return {CREATE_CERTIFICATE: Unary(self.create_certificate)}

    async def create_certificate(self, message: bytes, call: Call) -> bytes:
        """The answer to one request. Raises `Refused`."""
        address = _host(call.peer.address)
        if not self._by_address.allows(address):
            raise _refusal("too many", Code.RESOURCE_EXHAUSTED, "too many requests from this address")
        caller = await self._caller(call)
        if not self._by_identity.allows(caller):
            raise _refusal("too many", Code.RESOURCE_EXHAUSTED, f"too many requests of {caller}")
        issued = self._sign(message, caller)
        CERTIFICATES.inc()
        log.info(
            "certificate issued",
            identity=str(caller),
            cluster=call.metadata.get("clusterid", ""),
            address=address,
            serial=issued.serial,
            life=show(round(issued.end - self._clock.now())),
        )
        return SigningAnswer(issued.chain, self._authority.value.roots_pem).encode()

    async def _caller(self, call: Call) -> SpiffeId:
        try:
            return await self._attester.by_token(call.metadata.get("authorization", ""))
        except NotProven as error:
            log.warning("caller not proven", address=call.peer.address, reason=str(error))
            raise _refusal(error.reason, Code.UNAUTHENTICATED, str(error)) from error
        except ReviewUnavailable as error:
            log.warning("caller cannot be proven now", address=call.peer.address, reason=str(error))
            raise _refusal("review unavailable", Code.UNAVAILABLE, str(error)) from error

    def _sign(self, message: bytes, caller: SpiffeId) -> Issued:
        try:
            request = SigningRequest.decode(message)
            return self._authority.value.sign(request.csr, caller, request.lifetime_s)
        except x509.InvalidCertificate as error:
            log.error("cannot sign", reason=str(error))
            raise _refusal("issuer", Code.FAILED_PRECONDITION, str(error)) from error
        except ValueError as error:
            log.warning("request refused", identity=str(caller), reason=str(error))
            raise _refusal("csr", Code.INVALID_ARGUMENT, f"csr: {error}") from error


def _refusal(reason: str, code: Code, text: str) -> Refused:
    CSR_ERRORS.labels(reason=reason).inc()
    return Refused(code, text)


def _host(address: str) -> str:
    """`ipv4:10.0.0.1` for `ipv4:10.0.0.1:50000`."""
    return address.rpartition(":")[0]
