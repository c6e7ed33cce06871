"""`ssl.principal.mapping.rules`, with the examples of KIP-371 and answers of a running Java."""

from __future__ import annotations

import pytest

from broker.security.tls.principal_mapping import BadRules, NoRuleApplies, parse_rules

KIP_371 = (
    "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L,"
    "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U,DEFAULT"
)


@pytest.mark.parametrize(
    ("name", "principal"),
    [
        ("CN=serviceuser,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown", "serviceuser"),
        ("CN=adminUser,OU=Admin,O=Unknown,L=Unknown,ST=Unknown,C=Unknown", "adminuser@admin"),
        ("CN=duke", "DUKE"),
        ("OU=JavaSoft,O=Sun", "OU=JavaSoft,O=Sun"),
    ],
)
def test_the_first_rule_that_matches_counts(name: str, principal: str) -> None:
    """Case changes by L and U, and DEFAULT takes the name as it is."""
    assert parse_rules(KIP_371).name_of(name) == principal


@pytest.mark.parametrize(
    ("rules", "name", "principal"),
    [
        ("", "CN=a", "CN=a"),
        ("DEFAULT", "CN=a", "CN=a"),
        ("RULE:CN=(.*)/<$1>/", "CN=x", "<x>"),
        ("RULE:(.*)/<$1>/", "abc", "<abc><>"),
        (r"RULE:CN=(.*)/a\$1\/$1/", "CN=x", "a$1/x"),
        ("RULE:CN=(.)(.)/$2$12$3/", "CN=xy", "yx2$3"),
        (r"RULE:CN=a\/(.*)/$1/", "CN=a/b", "b"),
        (" RULE:CN=(.*)/$1/ , DEFAULT ", "CN=x", "x"),
        ("RULE:CN=(a)?b/[$1]/", "CN=b", "[]"),
    ],
)
def test_rules_are_read_and_applied_as_java_does(rules: str, name: str, principal: str) -> None:
    """The replacement is that of `replaceAll`: a match of nothing at the end of the name is one more."""
    assert parse_rules(rules).name_of(name) == principal


def test_a_name_that_no_rule_matches_has_no_principal() -> None:
    """Such a client is not let in, as nothing says what it may do."""
    with pytest.raises(NoRuleApplies, match="matches CN=eve"):
        parse_rules("RULE:^CN=alice$/alice/").name_of("CN=eve")


@pytest.mark.parametrize(
    "rules", ["X", "RULE:a/b", "DEFAULT/L", "RULE:a/b/LU", "RULE:(/x/", "RULE:(?=a)/x/", "DEFAULT DEFAULT", "A" * 20000]
)
def test_rules_that_cannot_be_read_are_refused(rules: str) -> None:
    """Patterns that RE2 does not have, too."""
    with pytest.raises(BadRules):
        parse_rules(rules)


def test_a_hostile_name_takes_no_time() -> None:
    """A pattern that would take a backtracking engine longer than the universe has been there."""
    with pytest.raises(NoRuleApplies):
        parse_rules("RULE:^CN=(a+)+$/$1/").name_of("CN=" + "a" * 5000 + "!")
