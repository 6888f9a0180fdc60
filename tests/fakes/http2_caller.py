"""Callers that speak HTTP/2 from the first byte on: one request, and the status and headers of its answer."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from fakes.recording_app import CALL

_CONFIG = h2.config.H2Configuration(
    client_side=True,
    header_encoding="latin-1",
    validate_outbound_headers=False,
    validate_inbound_headers=False,
)
_STREAM = 1


class Http2Caller:
    """One connection with one request."""

    def __init__(self, request, name):
        self._http2 = h2.connection.H2Connection(_CONFIG)
        self._http2.initiate_connection()
        self._http2.send_headers(
            _STREAM, list(_headers(request, name)), end_stream=request.method != "CONNECT"
        )
        self._answer = None

    def first(self):
        """All that it says before it listens."""
        return self._http2.data_to_send()

    def told(self, connection):
        """The status and the headers of the answer; 0 where there is none."""
        while data := connection.recv(65536):
            try:
                events = self._http2.receive_data(data)
            except h2.exceptions.ProtocolError:
                return self._told()
            for each in events:
                if isinstance(each, h2.events.ResponseReceived):
                    self._answer = each.headers
                if isinstance(
                    each, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated
                ):
                    return self._told()
            connection.sendall(self._http2.data_to_send())
        return self._told()

    def _told(self):
        headers = {}
        for name, value in self._answer or ():
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        return int(headers.pop(":status", "0")), headers


def _headers(request, name):
    yield ":method", request.method
    if request.method != "CONNECT":
        yield from ((":scheme", "http"), (":path", request.path))
    yield ":authority", request.host
    yield CALL, name
    yield from request.headers
