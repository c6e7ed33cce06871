"""The subject of a certificate as Java writes it, which is the name that Kafka's ACLs and mapping rules have.

Kafka takes `X500Principal.getName()`: RFC 2253, with what that standard leaves open decided by Java.

* The most specific part stands first: of `C=DE, O=Ottla, CN=alice` comes `CN=alice,O=Ottla,C=DE`. Parts that were
  encoded together (a set of more than one) are joined by `+`, in their own order.
* CN, C, L, ST, O, OU, STREET, DC and UID have their names; all others are an object identifier, `=#` and the DER of
  the value in hexadecimal digits: an e-mail address in a name is `1.2.840.113549.1.9.1=#16...`.
* `,` `=` `+` `<` `>` `#` `;` `"` and the backslash get a backslash wherever they are, and so does a space or a carriage
  return at either end. A zero is `\\00`. Everything else stands as it is.
* Texts are read as UTF-8, also those whose type says otherwise.

All of it was asked of a running Java; `tests/security/tls/test_distinguished_names.py` has the answers.
"""

from __future__ import annotations

from typing import Final

from broker.security.tls.der import SEQUENCE, SET, NotDer, Value, identifier, only, values

_KEYWORDS: Final = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}
_TEXTS: Final = frozenset({0x0C, 0x13, 0x14, 0x16, 0x1B, 0x1C, 0x1E})
"""Tags of UTF8String, PrintableString, T61String, IA5String, GeneralString, UniversalString and BMPString."""
_ESCAPED: Final = str.maketrans({**{sign: "\\" + sign for sign in ',=+<>#;"\\'}, "\0": "\\00"})
_BLANKS: Final = " \r"


def distinguished_name(name: bytes) -> str:
    """The name whose DER is `name`. Raises NotDer."""
    parts = []
    for relative in values(only(name, SEQUENCE)):
        if relative.tag != SET:
            raise NotDer("a name is a sequence of sets")
        parts.append("+".join(_attribute(each) for each in values(relative.content)))
    return ",".join(reversed(parts))


def _attribute(attribute: Value) -> str:
    pair = list(values(attribute.content))
    if attribute.tag != SEQUENCE or len(pair) != 2:
        raise NotDer("an attribute is a type and a value")
    kind = identifier(pair[0].content)
    keyword = _KEYWORDS.get(kind)
    if keyword is None or pair[1].tag not in _TEXTS:
        return f"{keyword or kind}=#{pair[1].whole.hex()}"
    text = pair[1].content.decode("utf-8", "replace").translate(_ESCAPED)
    inner = text.strip(_BLANKS)
    if not inner:
        return f"{keyword}=" + "".join("\\" + blank for blank in text)
    before, _, after = text.partition(inner)
    return f"{keyword}=" + "".join("\\" + each for each in before) + inner + "".join("\\" + each for each in after)
