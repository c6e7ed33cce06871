"""Subjects as Java writes them: the answers are a running Java 17's, for names made to be awkward."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier

from broker.security.tls.der import NotDer, read_certificate
from broker.security.tls.distinguished_names import distinguished_name
from broker.testing.certificates import Authority

Attribute = x509.NameAttribute
Set = x509.RelativeDistinguishedName
CN = NameOID.COMMON_NAME

JAVA = [
    ([Attribute(NameOID.COUNTRY_NAME, "DE"), Attribute(NameOID.ORGANIZATION_NAME, "Ottla, Inc."), Attribute(CN, "a")],
     r"CN=a,O=Ottla\, Inc.,C=DE"),
    ([Set([Attribute(CN, "bob"), Attribute(NameOID.USER_ID, "b1")]), Set([Attribute(NameOID.EMAIL_ADDRESS, "a@b.c")])],
     "1.2.840.113549.1.9.1=#16056140622e63,CN=bob+UID=b1"),
    ([Attribute(NameOID.SERIAL_NUMBER, "12"), Attribute(NameOID.DOMAIN_COMPONENT, "org"),
      Attribute(NameOID.STREET_ADDRESS, "x y"), Attribute(NameOID.STATE_OR_PROVINCE_NAME, "S"),
      Attribute(NameOID.LOCALITY_NAME, "L"), Attribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "u")],
     "OU=u,L=L,ST=S,STREET=x y,DC=org,2.5.4.5=#13023132"),
    ([Attribute(CN, ' #a=b+c"d\\e<f>g;h ')], r'CN=\ \#a\=b\+c\"d\\e\<f\>g\;h\ '),
    ([Attribute(CN, "#x  y")], r"CN=\#x  y"),
    ([Attribute(CN, "Ünï \t\n\r€😀")], "CN=Ünï \t\n\r€😀"),
    ([Attribute(CN, "a\0b\1c*?@_")], "CN=a\\00b\1c*?@_"),
    ([Attribute(CN, "Bé", _ASN1Type.BMPString), Attribute(CN, "é", _ASN1Type.T61String)],
     "CN=é,CN=\\00B\\00\N{REPLACEMENT CHARACTER}"),
    ([Attribute(NameOID.SURNAME, "S"), Attribute(NameOID.TITLE, "T"), Attribute(ObjectIdentifier("1.2.3.4"), "odd")],
     "1.2.3.4=#0c036f6464,2.5.4.12=#0c0154,2.5.4.4=#0c0153"),
    ([Attribute(CN, " ")], "CN=\\ "),
    ([Attribute(CN, "a\r")], "CN=a\\\r"),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "name"), JAVA)
def test_a_subject_is_written_as_java_writes_it(parts: list[x509.NameAttribute[Any]], name: str) -> None:
    """ACLs and mapping rules of people's files are written for that."""
    assert distinguished_name(x509.Name(parts).public_bytes()) == name


def test_subject_names_and_end_are_found_in_a_certificate() -> None:
    """In the midst of what else is there."""
    issued = Authority().issue("O=Ottla,CN=alice", hosts=("a.example", "192.0.2.1"))
    found = read_certificate(issued.der)
    certificate = x509.load_der_x509_certificate(issued.der)
    assert distinguished_name(found.subject) == "CN=alice,O=Ottla"
    assert found.ends == certificate.not_valid_after_utc
    assert found.names == {b"\x82\x09a.example", b"\x87\x04\xc0\x00\x02\x01"}
    assert certificate.public_bytes(Encoding.DER) == issued.der


def test_a_certificate_without_other_names_has_none() -> None:
    """The extension is not there."""
    assert read_certificate(Authority().issue("CN=a", hosts=()).der).names == frozenset()


def test_bytes_that_are_no_certificate_are_refused() -> None:
    """Cut anywhere, it raises NotDer and nothing else."""
    whole = Authority().issue("O=Ottla,CN=alice").der
    for length in range(0, 300, 7):
        with pytest.raises(NotDer):
            read_certificate(whole[:length])
    with pytest.raises(NotDer):
        distinguished_name(b"\x30\x03\x31\x01\x30")
