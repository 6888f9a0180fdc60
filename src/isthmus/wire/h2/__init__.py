"""HTTP/2 and gRPC of our own, for streams that live long and are told the same: a core without I/O, and a server.

The core is `Connection` (RFC 9113, client or server), and all that it needs:

    here = Connection(Role.CLIENT)                  # or SERVER
    socket.sendall(b"".join(here.take().pieces))    # until `take` gives nothing: it begins with the preface
    stream = here.open(request_headers("pilot", "/package.Service/Method"))
    here.send(stream, framed(stream, message))      # bytes, or parts of which the message is made
    for event in here.receive(socket.recv(65536)):
        match event:
            case Answered(stream, headers): ...     # a client's; a server is told `Opened`
            case Message(stream, message): here.consumed(stream, message)
            case Ended(stream, trailers): ...       # `grpc-status` is in the trailers
            case Reset() | Unreadable() | Pong() | GoneAway() | Broken(): ...

`take` gives a `Batch`: pieces that are written in order, and the streams of which a message ends in it. What waits for
a window or for its turn waits as references to the `Framed` message, of which all connections share one
(`FramedCache`). Nothing is raised for what a peer does: after `Broken`, write what `take` gives and close. Call
`guard.refill()` each second.
"""
