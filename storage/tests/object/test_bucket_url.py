"""Which bucket a URL names, what is refused, and that credentials are in no URL, sentence or value."""

from __future__ import annotations

import pytest

from storage.object.bucket_url import BucketUrlError, endpoint, parse_bucket_url, region, shared_keys


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://logs", "s3://logs"),
        ("s3://logs/", "s3://logs"),
        ("s3://logs/ottla/one/", "s3://logs/ottla/one"),
        ("S3://logs/ottla?region=eu-west-1&endpoint=http://127.0.0.1:8333&bulk_delete=false", "s3://logs/ottla"),
        ("gs://logs/x?timeout=3", "gs://logs/x"),
        ("az://logs/x?account=me", "az://logs/x"),
        ("file:///var/lib/bucket/", "file:///var/lib/bucket"),
        ("memory:", "memory:"),
        ("memory://", "memory:"),
    ],
)
def test_buckets_have_names(url: str, shown: str) -> None:
    """As a person knows them."""
    assert str(parse_bucket_url(url)) == shown


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("logs", "without a scheme"),
        ("http://logs", "http: is not known"),
        ("s3:///folder", "names no bucket"),
        ("s3://logs/a//b", "no folder"),
        ("s3://logs/../b", "no folder"),
        ("s3://logs?colour=red", "colour is no option"),
        ("gs://logs?region=x", "region is no option of a gs: URL"),
        ("s3://logs?path_style=perhaps", "true or false"),
        ("s3://logs?timeout=soon", "seconds"),
        ("s3://logs?endpoint=127.0.0.1:9000", "https://host:port"),
        ("s3://logs?region=a&region=b", "twice"),
        ("s3://logs#x", "behind a #"),
        ("file://there/x", "absolute path"),
        ("file:///", "absolute path"),
        ("memory://x", "no name"),
        ("s3://[", "no URL"),
    ],
)
def test_what_names_no_bucket_is_refused(url: str, said: str) -> None:
    """In a sentence that says what is wrong."""
    with pytest.raises(BucketUrlError, match=said):
        parse_bucket_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:hush@logs",
        "s3://hush@logs",
        "s3://logs?secret_access_key=hush",
        "s3://logs?aws_access_key_id=hush",
        "az://logs?account_key=hush",
        "az://logs?sas_token=hush",
        "s3://logs?endpoint=http://a:hush@127.0.0.1:9000",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_shown(url: str) -> None:
    """The sentence does not repeat them."""
    with pytest.raises(BucketUrlError, match=r"credentials|environment") as refused:
        parse_bucket_url(url)
    assert "hush" not in str(refused.value)


def test_the_environment_says_where_the_store_is() -> None:
    """As AWS' tools take it; the URL counts over it."""
    environment = {"AWS_ENDPOINT_URL": "http://one", "AWS_REGION": "eu-west-1"}
    url = parse_bucket_url("s3://logs")
    assert (endpoint(url, environment), region(url, environment)) == ("http://one", "eu-west-1")
    assert endpoint(url, {**environment, "AWS_ENDPOINT_URL_S3": "http://two"}) == "http://two"
    url = parse_bucket_url("s3://logs?endpoint=http://three&region=x")
    assert (endpoint(url, environment), region(url, environment)) == ("http://three", "x")
    assert (endpoint(parse_bucket_url("s3://logs"), {}), region(parse_bucket_url("s3://logs"), {})) == (
        None,
        "us-east-1",
    )


FILE = b"[default]\naws_access_key_id = a\naws_secret_access_key = hush%1\n[other]\naws_access_key_id = b\n"


def test_a_url_may_name_a_file_of_keys() -> None:
    """Which then counts over the environment."""
    url = parse_bucket_url("s3://logs?credentials=/keys")
    keys = shared_keys({"AWS_ACCESS_KEY_ID": "x"}, {"/keys": FILE}.get, url)
    assert keys is not None and keys.access_key_id == "a"
    with pytest.raises(BucketUrlError, match="/keys cannot be read"):
        shared_keys({}, lambda path: None, url)


def test_keys_come_from_the_shared_file() -> None:
    """Of the profile that is asked for; the environment's own keys count before it. They are not shown."""
    files = {"/me/.aws/credentials": FILE}
    keys = shared_keys({"HOME": "/me"}, files.get)
    assert keys is not None and keys.secret_access_key == "hush%1"
    assert "hush" not in repr(keys)
    assert shared_keys({"HOME": "/me", "AWS_ACCESS_KEY_ID": "x"}, files.get) is None
    assert shared_keys({"HOME": "/nowhere"}, files.get) is None
    assert shared_keys({}, files.get) is None


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_PROFILE": "other", "AWS_SHARED_CREDENTIALS_FILE": "f"}, "has no aws_secret_access_key"),
        ({"AWS_PROFILE": "third", "AWS_SHARED_CREDENTIALS_FILE": "f"}, "has no third"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "g"}, "cannot be read"),
        ({"AWS_SHARED_CREDENTIALS_FILE": "h"}, "cannot be understood"),
    ],
)
def test_a_file_of_keys_that_does_not_do_is_named(environment: dict[str, str], said: str) -> None:
    """One sentence with the file's name, and nothing of what is in it."""
    with pytest.raises(BucketUrlError, match=said) as refused:
        shared_keys(environment, {"f": FILE, "h": b"hush\xff"}.get)
    assert "hush" not in str(refused.value)
