"""Istio's certificate service: who are you, and here is a certificate for exactly that.

A caller gets its own identity and no other: the request has no say in it. Every certificate that is
issued leaves a line in the audit log.
"""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from isthmus.ca.attest import Caller, NotProven, NotVouched
from isthmus.ca.audit import Audit
from isthmus.ca.authority import Issued
from isthmus.ca.callers import CLAIM, Callers
from isthmus.ca.denied import DenyList
from isthmus.ca.dns_names import DnsNames
from isthmus.ca.issuers import Issuer, IssuerRefused, NotIssued, Order
from isthmus.ca.ledger import Ledger
from isthmus.ca.limits import Limiter
from isthmus.ca.rates import Limits
from isthmus.ca.vouching import ReviewUnavailable
from isthmus.kit import x509
from isthmus.kit.clock import Clock
from isthmus.kit.metrics import (
    AUTHENTICATION_FAILURES,
    CERTIFICATES,
    CSR_ERRORS,
    CSR_UNREADABLE,
    CSRS,
    NOT_SIGNED,
)
from isthmus.kit.scopes import ca as log
from isthmus.model.signing import CREATE_CERTIFICATE, SigningAnswer, SigningRequest
from isthmus.wire.serve import Handler, Unary
from isthmus.wire.stream import Call, Code, Refused


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How often callers may ask, and which DNS names they get."""

    names: DnsNames
    limits: Limits = Limits()


class CertificateService:
    """Answers `CreateCertificate` with what `issuer` signs; `ledger` knows for whom."""

    def __init__(self, issuer: Issuer, callers: Callers, audit: Audit, terms: Terms, clock: Clock) -> None:
        self._issuer, self._callers, self._audit = issuer, callers, audit
        self._names, limits = terms.names, terms.limits
        self.ledger, self.denied = Ledger(clock), DenyList(clock)
        self._by_identity = Limiter(limits.identity, clock)
        self._by_address = Limiter(limits.address, clock)
        self._by_cluster = Limiter(limits.cluster, clock)

    def services(self) -> dict[str, Handler]:
        """The table for a `GrpcServer`."""
        return {CREATE_CERTIFICATE: Unary(self.create_certificate)}

    async def create_certificate(self, message: bytes, call: Call) -> bytes:
        """The answer to one request. Raises `Refused`."""
        CSRS.inc()
        address = _host(call.peer.address)
        _must_allow(self._by_address, address, "this address")
        identity = ""
        try:
            caller = await self._caller(call)
            identity = str(caller.identity)
            _must_allow(self._by_identity, (caller.identity, caller.cluster), identity)
            _must_allow(self._by_cluster, caller.cluster, f"cluster {caller.cluster!r}")
            issued = await self._sign(message, caller)
        except Refused as refused:
            self.ledger.refused_to(identity, address, refused.text)
            raise
        self.ledger.issued_to(identity, address, issued)
        CERTIFICATES.inc()
        await self._audit.issued(caller, address, issued)
        return SigningAnswer(issued.chain, self._issuer.roots_pem).encode()

    async def _caller(self, call: Call) -> Caller:
        claimed = call.metadata.get(CLAIM, "")
        try:
            return await self._callers.of(call)
        except NotProven as error:
            AUTHENTICATION_FAILURES.inc()
            code = Code.PERMISSION_DENIED if isinstance(error, NotVouched) else Code.UNAUTHENTICATED
            log.warning("caller not proven", address=call.peer.address, cluster=claimed, reason=str(error))
            raise _refusal(error.reason, code, str(error)) from error
        except ReviewUnavailable as error:
            log.warning(
                "caller cannot be proven now", address=call.peer.address, cluster=claimed, reason=str(error)
            )
            raise _refusal("review unavailable", Code.UNAVAILABLE, str(error)) from error

    async def _sign(self, message: bytes, caller: Caller) -> Issued:
        try:
            request = SigningRequest.decode(message)
            if request.impersonated:
                raise _impersonation(request.impersonated, caller)
            dns = self._names.of(caller)
            if why := self.denied.why(caller.identity, caller.serial):
                log.warning(
                    "denied", identity=str(caller.identity), cluster=caller.cluster, proof=caller.proof
                )
                raise _refusal("denied", Code.PERMISSION_DENIED, why)
            return await self._issuer.issue(Order(request.csr, caller.identity, request.lifetime_s, dns))
        except NotIssued as error:
            log.error(
                "not signed", identity=str(caller.identity), issuer=self._issuer.name, reason=str(error)
            )
            code = Code.FAILED_PRECONDITION if isinstance(error, IssuerRefused) else Code.UNAVAILABLE
            raise _refusal("issuer", code, str(error)) from error
        except x509.InvalidCertificate as error:
            log.error("cannot sign", reason=str(error))
            raise _refusal("issuer", Code.FAILED_PRECONDITION, str(error)) from error
        except ValueError as error:
            log.warning("request refused", identity=str(caller.identity), reason=str(error))
            raise _refusal("csr", Code.INVALID_ARGUMENT, f"csr: {error}") from error


def _impersonation(wanted: str, caller: Caller) -> Refused:
    log.warning("impersonation refused", identity=str(caller.identity), wanted=wanted)
    text = f"{caller.identity} may not ask for {wanted}: nobody gets another's certificate here"
    return _refusal("impersonation", Code.PERMISSION_DENIED, f"{text} (hint: ask with its own token)")


def _must_allow(limiter: Limiter, key: Hashable, who: str) -> None:
    if not limiter.allows(key):
        raise _refusal("too many", Code.RESOURCE_EXHAUSTED, f"too many requests of {who}")


def _refusal(reason: str, code: Code, text: str) -> Refused:
    CSR_ERRORS.labels(reason=reason).inc()
    if also := {"csr": CSR_UNREADABLE, "issuer": NOT_SIGNED}.get(reason):
        also.inc()
    return Refused(code, text)


def _host(address: str) -> str:
    """`ipv4:10.0.0.1` for `ipv4:10.0.0.1:50000`."""
    return address.rpartition(":")[0]
