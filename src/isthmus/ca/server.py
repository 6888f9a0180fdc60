"""Istio's certificate service: who are you, and here is a certificate for exactly that.

A caller gets its own identity and no other: the request has no say in it. Every certificate that is
issued leaves a line in the log, with who, from where, the serial number and the end.
"""

from __future__ import annotations

import msgspec

from isthmus.ca.attest import Attester, NotProven, ReviewUnavailable
from isthmus.ca.authority import Issued
from isthmus.ca.issuers import Issuer, IssuerRefused, NotIssued, Order
from isthmus.ca.ledger import Ledger
from isthmus.ca.limits import Limiter, Rate
from isthmus.kit import x509
from isthmus.kit.clock import Clock
from isthmus.kit.duration import show
from isthmus.kit.log import log
from isthmus.kit.metrics import (
    AUTHENTICATION_FAILURES,
    CERTIFICATES,
    CSR_ERRORS,
    CSR_UNREADABLE,
    CSRS,
    NOT_SIGNED,
)
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import CREATE_CERTIFICATE, SigningAnswer, SigningRequest
from isthmus.wire.serve import Handler, Unary
from isthmus.wire.stream import Call, Code, Refused


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How often callers may ask: each identity for itself, and each address before it has proven one."""

    identity: Rate = Rate(per_s=10.0, burst=100.0)
    address: Rate = Rate(per_s=20.0, burst=100.0)


class CertificateService:
    """Answers `CreateCertificate` with what `issuer` signs; `ledger` knows for whom."""

    def __init__(self, issuer: Issuer, attester: Attester, limits: Limits, clock: Clock) -> None:
        self._issuer, self._attester, self._clock = issuer, attester, clock
        self.ledger = Ledger(clock)
        self._by_identity = Limiter(limits.identity, clock)
        self._by_address = Limiter(limits.address, clock)

    def services(self) -> dict[str, Handler]:
        """The table for a `GrpcServer`."""
        return {CREATE_CERTIFICATE: Unary(self.create_certificate)}

    async def create_certificate(self, message: bytes, call: Call) -> bytes:
        """The answer to one request. Raises `Refused`."""
        CSRS.inc()
        address = _host(call.peer.address)
        if not self._by_address.allows(address):
            raise _refusal("too many", Code.RESOURCE_EXHAUSTED, "too many requests from this address")
        caller: SpiffeId | str = ""
        try:
            caller = await self._caller(call)
            if not self._by_identity.allows(caller):
                raise _refusal("too many", Code.RESOURCE_EXHAUSTED, f"too many requests of {caller}")
            issued = await self._sign(message, caller)
        except Refused as refused:
            self.ledger.refused_to(str(caller), address, refused.text)
            raise
        self.ledger.issued_to(str(caller), address, issued)
        CERTIFICATES.inc()
        log.info(
            "certificate issued",
            identity=str(caller),
            cluster=call.metadata.get("clusterid", ""),
            address=address,
            serial=issued.serial,
            life=show(round(issued.end - self._clock.now())),
        )
        return SigningAnswer(issued.chain, self._issuer.roots_pem).encode()

    async def _caller(self, call: Call) -> SpiffeId:
        try:
            return await self._attester.by_token(call.metadata.get("authorization", ""))
        except NotProven as error:
            AUTHENTICATION_FAILURES.inc()
            log.warning("caller not proven", address=call.peer.address, reason=str(error))
            raise _refusal(error.reason, Code.UNAUTHENTICATED, str(error)) from error
        except ReviewUnavailable as error:
            log.warning("caller cannot be proven now", address=call.peer.address, reason=str(error))
            raise _refusal("review unavailable", Code.UNAVAILABLE, str(error)) from error

    async def _sign(self, message: bytes, caller: SpiffeId) -> Issued:
        try:
            request = SigningRequest.decode(message)
            return await self._issuer.issue(Order(request.csr, caller, request.lifetime_s))
        except NotIssued as error:
            log.error("not signed", identity=str(caller), issuer=self._issuer.name, reason=str(error))
            code = Code.FAILED_PRECONDITION if isinstance(error, IssuerRefused) else Code.UNAVAILABLE
            raise _refusal("issuer", code, str(error)) from error
        except x509.InvalidCertificate as error:
            log.error("cannot sign", reason=str(error))
            raise _refusal("issuer", Code.FAILED_PRECONDITION, str(error)) from error
        except ValueError as error:
            log.warning("request refused", identity=str(caller), reason=str(error))
            raise _refusal("csr", Code.INVALID_ARGUMENT, f"csr: {error}") from error


def _refusal(reason: str, code: Code, text: str) -> Refused:
    CSR_ERRORS.labels(reason=reason).inc()
    if also := {"csr": CSR_UNREADABLE, "issuer": NOT_SIGNED}.get(reason):
        also.inc()
    return Refused(code, text)


def _host(address: str) -> str:
    """`ipv4:10.0.0.1` for `ipv4:10.0.0.1:50000`."""
    return address.rpartition(":")[0]
