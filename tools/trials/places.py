"""Where an instrument keeps its files: the `--directory` of its command line."""

from __future__ import annotations

import argparse
from pathlib import Path


def folder(name: str) -> str:
    """For argparse: the folder of this name, made if it is not there, as an absolute path, since what an instrument
    starts runs elsewhere. Raises ArgumentTypeError with one sentence."""
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be a folder for files: {error.strerror}") from error
    return str(Path(name).absolute())
