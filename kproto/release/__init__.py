"""The release of Apache Kafka that this broker is held against, in one place: its number and its ranges of versions.

To clients a release of Kafka is a set of facts: which APIs there are and in which versions (`apis.py`), which features
at which levels (`features.py`), which error codes, config keys and layouts of messages. Most clients guess the release
from the ranges, so these are exactly one release's.

Moving on to the next release is a change of data. What changes stands in four places, and nowhere else:

| fact | where |
|---|---|
| the number, the APIs and their versions, the features and their levels | this package |
| the layout of messages and records | `kproto/messages`, `kproto/formats` |
| error codes | `kproto/errors.py` |
| config keys | `broker/config/keys` |

`python -m tools.trials compare-schema` and `compare-release` find every difference between these and a release, and
tests hold them against each other. Everything else says "Kafka" and means this release; a test in `tools/tidy` finds
the number, and ranges of versions, elsewhere. CONTRIBUTING.md has the steps.
"""

from typing import Final

RELEASE: Final = "4.4.0"
"""The release of Apache Kafka whose protocol is spoken."""
