"""The recipes of docs/recipes.md are programs: each is run as it is printed, with its own broker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text("utf-8")
RECIPES = {
    title.partition(":")[0]: program
    for title, program in re.findall(r"^## ([^\n]+)\n.*?^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
}


def test_there_is_a_recipe_for_what_people_test() -> None:
    """By the names that they have for it."""
    assert list(RECIPES) == ["Retries", "Duplicates", "Rebalances", "Zombies", "Poison", "Lag"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_does_what_it_says(recipe: str, tmp_path: Path) -> None:
    """What it promises are the assertions in it."""
    program = tmp_path / "recipe.py"
    program.write_text(RECIPES[recipe], "utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
