"""Which bucket is meant: a URL, and what the environment and files say beside it.

```
s3://BUCKET/FOLDER?endpoint=http://127.0.0.1:8333&region=us-east-1&path_style=true    S3, and what speaks its protocol
gs://BUCKET/FOLDER                                                                     Google Cloud Storage
az://CONTAINER/FOLDER?account=NAME                                                     Azure Blob Storage
file:///PATH                                                                           a directory of this machine
memory:                                                                                nothing that lasts
```

What a URL may say behind the question mark stands in `OPTIONS`; all of it may be left out. `endpoint` and `region` may
also come from where the tools of AWS take them: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION.
A store with an endpoint of its own is addressed by path, as most of them want it; AWS is not.

**Credentials** are never in a URL, which ends up in process lists and logs: one that has some is refused. They come
from the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AZURE_STORAGE_ACCOUNT_KEY,
GOOGLE_APPLICATION_CREDENTIALS and so on), from AWS' shared credentials file (AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE)
or one like it that the URL names (`credentials=/path`), which is read again every five minutes, or from the platform
(roles of machines, containers and service accounts).
"""

from __future__ import annotations

import configparser
import os.path
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES: Final = ("s3", "gs", "az", "file", "memory")
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "endpoint": ("s3", "az"),
    "region": ("s3",),
    "path_style": ("s3",),
    "bulk_delete": ("s3",),
    "account": ("az",),
    "credentials": ("s3",),
    "timeout": ("s3", "gs", "az"),
}
"""What may stand behind the question mark, and of which schemes. `timeout` is in seconds, `credentials` the path of a
file like AWS' shared one; the others are texts or `true` and `false`."""
SECRETS: Final = re.compile(r"secret|password|token|access_?key|account_?key|sas|credential", re.IGNORECASE)
DEFAULT_TIMEOUT: Final = 10.0
"""Seconds that one request may take, from its first byte to its answer's last."""
FOLDER: Final = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")

ReadFile = Callable[[str], bytes | None]
"""The bytes of a file, or None if there is none."""


class BucketUrlError(Exception):
    """The URL names no bucket that can be used. One sentence, without what looks like a credential."""


class AwsKeys(NamedTuple):
    """What AWS' shared credentials file says for one profile."""

    access_key_id: str
    secret_access_key: str
    token: str | None

    def __repr__(self) -> str:
        return "AwsKeys(...)"


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """A bucket, or a folder of one, and how its store is reached. Holds no credentials."""

    scheme: str
    bucket: str = ""  # or Azure's container; empty for file and memory
    folder: str = ""  # no slash at either end; the path of a directory for file
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """As a person knows it."""
        if self.scheme == "memory":
            return "memory:"
        if self.scheme == "file":
            return f"file://{self.folder}"
        return f"{self.scheme}://{self.bucket}" + (f"/{self.folder}" if self.folder else "")

    def flag(self, name: str, default: bool) -> bool:
        """A `true` or `false` among the options."""
        return {"true": True, "false": False, None: default}[self.options.get(name)]

    @property
    def timeout(self) -> float:
        """Seconds for one request."""
        return float(self.options.get("timeout", DEFAULT_TIMEOUT))


def parse_bucket_url(url: str) -> BucketUrl:
    """The bucket that `url` names. Raises BucketUrlError."""
    try:
        parts = urlsplit(url)
        host, password = parts.netloc, parts.password
    except ValueError:
        raise BucketUrlError("the bucket's address is no URL, such as s3://bucket/folder") from None
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}:" for name in SCHEMES)
        raise BucketUrlError(
            f"{scheme + ':' if scheme else 'a bucket without a scheme'} is not known; there are {known}"
        )
    if password is not None or "@" in host:
        raise BucketUrlError(
            f"the {scheme}: URL has credentials in it, which process lists and logs would show; they belong into the "
            f"environment or a file"
        )
    options = _options(scheme, parts.query)
    if parts.fragment:
        raise BucketUrlError(f"the {scheme}: URL has something behind a #, which means nothing")
    path = unquote(parts.path)
    if scheme == "memory":
        if host or path.strip("/"):
            raise BucketUrlError("a memory: bucket has no name")
        return BucketUrl("memory")
    if scheme == "file":
        if host not in ("", "localhost") or not path.strip("/"):
            raise BucketUrlError("a file: bucket is the absolute path of a directory, such as file:///var/lib/bucket")
        return BucketUrl("file", "", os.path.normpath(path), options)
    folder = path.strip("/")
    if not host:
        raise BucketUrlError(f"the {scheme}: URL names no bucket; it looks like {scheme}://bucket/folder")
    if folder and (not FOLDER.fullmatch(folder) or {".", ".."} & set(folder.split("/"))):
        raise BucketUrlError(
            f"{folder!r} is no folder of a bucket: letters, digits, dots, hyphens and underscores, with single slashes "
            f"between them"
        )
    return BucketUrl(scheme, host, folder, options)


def _options(scheme: str, query: str) -> dict[str, str]:
    """What stands behind the question mark."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if SECRETS.search(name) and name not in OPTIONS:
            raise BucketUrlError(
                f"{name} is in the URL, which process lists and logs would show; it belongs into the environment or a "
                f"file"
            )
        if scheme not in OPTIONS.get(name, ()):
            known = ", ".join(option for option, schemes in OPTIONS.items() if scheme in schemes) or "none"
            raise BucketUrlError(f"{name} is no option of a {scheme}: URL; its options are: {known}")
        if name in options:
            raise BucketUrlError(f"{name} is given twice in the {scheme}: URL")
        if name in ("path_style", "bulk_delete") and value not in ("true", "false"):
            raise BucketUrlError(f"{name}={value} in the {scheme}: URL must be true or false")
        if name == "timeout" and not _is_seconds(value):
            raise BucketUrlError(f"timeout={value} in the {scheme}: URL must be seconds, from 0.1 to 600")
        if name == "endpoint" and not re.fullmatch(r"https?://[^/@\s]+(/[^@\s]*)?", value):
            raise BucketUrlError(f"endpoint in the {scheme}: URL must look like https://host:port, without credentials")
        options[name] = value
    return options


def _is_seconds(text: str) -> bool:
    try:
        return 0.1 <= float(text) <= 600
    except ValueError:
        return False


def endpoint(url: BucketUrl, environment: Mapping[str, str]) -> str | None:
    """Where the store of an s3: URL listens, if it is not AWS itself."""
    return url.options.get("endpoint") or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")


def region(url: BucketUrl, environment: Mapping[str, str]) -> str:
    """The region of an s3: URL."""
    named = url.options.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    return named or "us-east-1"


def shared_keys(environment: Mapping[str, str], read_file: ReadFile, url: BucketUrl | None = None) -> AwsKeys | None:
    """What a file like AWS' shared one says: the one that `url` names, before everything else, or the shared
    one, if the environment says nothing that comes before it; None if there is no such file or profile.

    Raises BucketUrlError for a file that cannot be understood, or a profile asked for by name that it does not have.
    """
    own = None if url is None else url.options.get("credentials")
    before = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")
    if not own and any(environment.get(name) for name in before):
        return None
    named = own or environment.get("AWS_SHARED_CREDENTIALS_FILE")
    home = environment.get("HOME")
    path = named or (os.path.join(home, ".aws", "credentials") if home else None)
    data = read_file(path) if path else None
    wanted = environment.get("AWS_PROFILE")
    if data is None:
        if named or wanted:
            raise BucketUrlError(f"the file of AWS credentials {path} cannot be read")
        return None
    profiles = configparser.RawConfigParser(default_section="")
    try:
        profiles.read_string(data.decode())
        profile = profiles[wanted or "default"]
        return AwsKeys(
            profile["aws_access_key_id"], profile["aws_secret_access_key"], profile.get("aws_session_token") or None
        )
    except KeyError as error:
        if not wanted and "default" not in profiles:
            return None
        missing = str(error).strip("'\"")
        raise BucketUrlError(
            f"the file of AWS credentials {path} has no {missing} (profile {wanted or 'default'})"
        ) from None
    except (configparser.Error, UnicodeDecodeError):
        raise BucketUrlError(f"the file of AWS credentials {path} cannot be understood") from None
