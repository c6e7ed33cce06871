"""Words that hide their noun, in prose and in names.

Such a sentence says that a person or a thing acts and leaves open which one. It reads better with the noun: the caller,
a client, a waiting task, the owner of the lock; a thing is rebuilt, or lasts forever. A rule for prose can be checked
for single words only, so these are the ones that were written hundreds of times.

Searched is everything that is text: docstrings, comments, messages, names in snake_case and CamelCase, pages. Answers
that Kafka gave are packed (`tools/answers/recorded`) and are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tools.tidy.source_tree import Source, text_sources

# Each word with what is written instead. The words are in two parts, so that this file passes its own rule.
INSTEAD = {
    "some" + "body": "name it: a client, a caller, a reader",
    "no" + "body": "name it: no client, no caller, unknown, unused",
    "who" + "ever": "name it: the caller, the owner, the waiting task",
    "every" + "body": "name it: every client, all members",
    "a" + "new": "again, or rebuilt",
    "for " + "ever": "forever",
}
# A word begins where no letter stands before it, or where a capital begins it in CamelCase; its end likewise.
PATTERNS = {}
HINTS: dict[re.Pattern[str], re.Pattern[str]] = {}
"""Of each pattern one that is found in lower case wherever it is."""
for _word, _advice in INSTEAD.items():
    _gap = r"(?:[ _]|\n\s*(?:# )?)"
    # A word begins where no letter stands before it, or where a capital begins it in CamelCase; its end likewise.
    _pattern = re.compile(
        rf"(?:(?<![a-zA-Z]){_word}|(?<=[a-z]){_word.capitalize()}|(?<![a-zA-Z]){_word.capitalize()}|"
        rf"(?<![A-Z]){_word.upper()})(?![a-z]|(?<=[A-Z])[A-Z])".replace(" ", _gap)
    )
    PATTERNS[_pattern] = _advice
    HINTS[_pattern] = re.compile(_word.replace(" ", _gap))


def words(source: Source) -> Iterator[str]:
    """Findings: words that have no place in the project's prose and names."""
    lowered = source.text.lower()
    for pattern, advice in PATTERNS.items():
        if not HINTS[pattern].search(lowered):
            continue  # which is much faster to find out
        for match in pattern.finditer(source.text):
            line = source.text.count("\n", 0, match.start()) + 1
            found = " ".join(re.split(r"[\s#]+", match.group()))
            yield source.at(line, f"{found!r}; {advice} (docs/style.md).")


def test_no_text_hides_its_nouns() -> None:
    """Code and pages name who acts, and say again, rebuilt and forever."""
    findings = [finding for source in text_sources() for finding in words(source)]
    assert not findings, "\n" + "\n".join(findings)


@pytest.mark.parametrize("word", INSTEAD)
def test_the_check_finds_a_planted_violation(word: str) -> None:
    """In a docstring, a comment, a string, a function's, a class's and a constant's name, and on a page."""
    snake = word.replace(" ", "_")
    for path, text in (
        ("a.py", f'"""What {word} reads."""\n'),
        ("a.py", f"{word.capitalize()}'s\n"),
        ("a.py", f"x = 1  # for {word}\n"),
        ("a.py", f'print("{word}")\n'),
        ("a.py", f"def test_{snake}_waits() -> None: ...\n"),
        ("a.py", f"{snake.upper()}_WAITS = 1\n"),
        ("docs/a.md", f"It waits for {word}, too.\n"),
    ):
        assert list(words(Source(path, text))), text


def test_the_check_finds_words_in_class_names_and_across_lines() -> None:
    """CamelCase, and a line's end between two words; the line that is named is the first one's."""
    assert list(words(Source("a.py", "class Answers" + "No" + "body:\n")))
    found = list(words(Source("a.md", "\nIt waits for" + "\n" + "ever.\n")))
    assert found == ["a.md:2: 'for " + "ever'; forever (docs/style.md)."]
    assert list(words(Source("a.py", "    # It waits for\n    # " + "ever.\n")))


@pytest.mark.parametrize("text", ["forever", "anybody", "a new client", "canewood", "wait for every client", "FOREVER"])
def test_the_check_leaves_other_words_alone(text: str) -> None:
    """Words that contain them, and their parts."""
    assert not list(words(Source("a.md", text)))
