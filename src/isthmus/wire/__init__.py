"""gRPC as bytes in, bytes out: who calls, how to serve, how to call. Knows no message."""

import os

# Otherwise its core writes a line for each handshake that fails, which anybody may begin. It reads this when it starts.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # noqa: TID251 - written, not read
