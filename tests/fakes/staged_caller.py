"""Callers of a staged Envoy: what they say on a connection, in TLS where that is wanted, and what they are told."""

from __future__ import annotations

import ssl

from fakes.recording_app import CALL, PLACE
from fakes.staged_certificates import SHOWN


def said(call, name):
    """The first bytes of `call`, in no TLS."""
    if call.request is None:
        return b"\x00\x01\x02\x03 some bytes that are nothing\r\n\r\n"
    asked = call.request
    target = asked.host if asked.method == "CONNECT" else asked.path
    lines = [f"{asked.method} {target} HTTP/1.1", f"host: {asked.host}", f"{CALL}: {name}"]
    lines += [f"{key}: {value}" for key, value in asked.headers]
    return "\r\n".join([*lines, "", ""]).encode()


def told(reader, call):
    """Status and headers of an HTTP answer; of anything else no status, and where it was that answered."""
    try:
        first = reader.readline()
        if not first.startswith(b"HTTP/1.1 ") or call.request is None:
            where = first.strip().decode("latin-1")
            return 0, {PLACE: where.removeprefix("place ")} if where.startswith("place ") else {}
        headers = {}
        while line := reader.readline().strip().decode("latin-1"):
            key, _, value = line.partition(":")
            key = key.strip().lower()
            headers[key] = f"{headers[key]},{value.strip()}" if key in headers else value.strip()
    except OSError:
        return 0, {}
    return int(first.split()[1]), headers


_OWN = 43
"""So many bytes of a handshake are no other's: its header, and 32 that are random."""


class InTls:
    """The inside of TLS with whoever is at the other end; where nobody speaks it there, what it says instead.

    That is where it is, or what it has heard.
    """

    def __init__(self, hello, folder, shown=SHOWN):
        self._connection, self._folder, self._shown = None, folder, shown
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = self._context(hello).wrap_bio(
            self._incoming, self._outgoing, server_hostname=hello.sni or None
        )
        self._left, self._begun = b"", b""
        self.is_plain = False

    def _context(self, hello):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if hello.alpn:
            context.set_alpn_protocols(list(hello.alpn))
        if hello.identity:
            for name, content in (("caller.pem", self._shown.certificate), ("caller.key", self._shown.key)):
                (self._folder / name).write_bytes(content)
            context.load_cert_chain(self._folder / "caller.pem", self._folder / "caller.key")
        return context

    def hello(self):
        """The first bytes of the handshake."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._begun = self._outgoing.read()
            return self._begun
        raise AssertionError("nobody has answered yet")

    def say(self, data, connection):
        """Send `data` after the rest of the handshake, which has begun on `connection`."""
        self._connection = connection
        self._until_done(self._tls.do_handshake)
        if not self.is_plain:
            self._until_done(lambda: self._tls.write(data))

    def _until_done(self, step):
        while not self.is_plain:
            try:
                found = step()
            except ssl.SSLWantReadError:
                self._connection.sendall(self._outgoing.read())
                got = self._connection.recv(65536)
                if not got:
                    raise ConnectionResetError("closed before the end") from None
                if got.startswith((b"place ", self._begun[:_OWN])):
                    self._left, self.is_plain = got, True
                self._incoming.write(got)
            else:
                self._connection.sendall(self._outgoing.read())
                return found
        return b""

    def readline(self):
        while b"\n" not in self._left:
            more = self._until_done(lambda: self._tls.read(65536)) if not self.is_plain else b""
            if not more:
                break
            self._left += more
        line, mark, self._left = self._left.partition(b"\n")
        return line + mark
