"""`ottla completion bash|zsh|fish`: print what a shell needs to complete the words of `ottla`.

eval "$(ottla completion bash)"            in ~/.bashrc
eval "$(ottla completion zsh)"             in ~/.zshrc, behind compinit
ottla completion fish | source             in ~/.config/fish/config.fish
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from tools.failures import Failed

SHELLS = ("bash", "zsh", "fish")


def main(arguments: Sequence[str]) -> int:
    """Print the script of a shell. Raises Failed if the library that it needs is not installed."""
    options = parser().parse_args(arguments)
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise Failed("completion needs the library argcomplete: pip install 'ottla[cli]'") from None
    print(shellcode(["ottla"], shell=options.shell))
    return 0


def parser() -> argparse.ArgumentParser:
    """All words of `ottla completion`."""
    made = argparse.ArgumentParser(
        prog="ottla completion", description="Print what a shell needs to complete the words of ottla."
    )
    made.add_argument("shell", choices=SHELLS, help="which shell")
    return made
