"""How a verb says that it has failed: an exception with one sentence for the person who called it, and an exit status.

| status | class | means |
|---|---|---|
| 1 | `Failed` | it was understood and did not work: a broker refuses, does not answer, a file cannot be written |
| 2 | `Misunderstood` | words, a properties file or input that make no sense: nothing was asked of a broker |

Other endings are in `tools/verbs.py`.
"""

from __future__ import annotations


class Failed(Exception):
    """It did not work. The text is one sentence, without the command's name."""

    status = 1


class Misunderstood(Failed):
    """What was asked makes no sense, or a setting does not."""

    status = 2
