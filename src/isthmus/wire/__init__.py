"""gRPC as bytes in, bytes out: who calls, how to serve, how to call. Knows no message."""
