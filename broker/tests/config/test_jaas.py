"""`sasl.jaas.config`, as people have it in their files."""

import pytest

from broker.config.jaas import JaasError, parse_jaas

PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ('user_admin="admin-secret"', {"user_admin": "admin-secret"}),
        ("user_admin='a b'", {"user_admin": "a b"}),
        ("user_admin=word-1.x", {"user_admin": "word-1.x"}),
        (r'a="q\"uote\\ \101\n" b=";"', {"a": 'q"uote\\ A\n', "b": ";"}),
        ('a = "spaced"', {"a": "spaced"}),
        ('a="1" // a comment\n /* and\n another */ b="2"', {"a": "1", "b": "2"}),
        ("", {}),
    ],
)
def test_options_are_read_as_java_reads_them(options: str, expected: dict[str, str]) -> None:
    """Quotes of both kinds, Java's escapes and comments."""
    module = parse_jaas(f"{PLAIN} required {options};")
    assert (module.name, module.options) == (PLAIN, expected)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names no login module"),
        (";", "names no login module"),
        (f"{PLAIN};", "one of required"),
        (f'{PLAIN} user_a="s3cret";', "one of required"),
        (f'{PLAIN} required user_a="s3cret"', "does not end with a semicolon"),
        (f'{PLAIN} required user_a "s3cret";', "not of the form"),
        (f"{PLAIN} required user_a=;", "not of the form"),
        (f'{PLAIN} required user_a="s3cret;', "position"),
        (f'{PLAIN} required; {PLAIN} required user_a="s3cret";', "more than one"),
    ],
)
def test_what_is_wrong_is_said_without_the_secrets(text: str, complaint: str) -> None:
    """The sentence goes to the terminal and the log."""
    with pytest.raises(JaasError, match=complaint) as refused:
        parse_jaas(text)
    assert "s3cret" not in str(refused.value)


def test_the_text_of_a_module_shows_no_options() -> None:
    """It may stand in a traceback."""
    assert "s3cret" not in repr(parse_jaas(f'{PLAIN} required user_a="s3cret";'))
