"""`ottla proxy`: stand between clients and a cluster, and let things go wrong on purpose.

    ottla proxy --fault 'delay seconds=2 api=Produce share=0.05' --fault 'lose_reply api=EndTxn times=1'

It is `ottla record` without a file; which faults there are is said in `tools/recording/disturbances.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tools.commands.record import add_options, stand_between


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal comes; 0 then. Raises Failed."""
    return stand_between(parser().parse_args(arguments), None)


def parser() -> argparse.ArgumentParser:
    """All words of `ottla proxy`."""
    made = argparse.ArgumentParser(
        prog="ottla proxy", description="Stand between clients and a cluster, and let things go wrong on purpose."
    )
    add_options(made)
    return made
