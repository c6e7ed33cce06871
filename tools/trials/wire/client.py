"""One blocking connection that speaks the protocol: for benchmarks, and for tests that send what no client sends."""

from __future__ import annotations

import ssl

from tools.wire import WireConnection


class WireClient(WireConnection):
    """One blocking connection to a broker on this machine: just enough of a client to set a stage."""

    def __init__(
        self,
        port: int,
        *,
        timeout: float = 30.0,
        client_id: str | None = "trials",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__("127.0.0.1", port, client_id=client_id, timeout=timeout, tls=tls)

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
