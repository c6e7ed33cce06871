"""The codec benchmark runs, names its interpreter, and judges by the ratio."""

import platform

import pytest

from tools.trials import codec_benchmark


def test_one_short_run_prints_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    """Too short to judge by; the figures are for a quiet machine and more rounds."""
    pytest.importorskip("kafka")
    assert codec_benchmark.main(["--rounds", "1", "--calls", "2", "--profile"]) in (0, 1)
    output = capsys.readouterr().out
    assert output.startswith(f"{platform.python_implementation()} {platform.python_version()}")
    for words in ("10 partitions x 16 KiB", "ottla", "kafka-python", "ratio", "encode FetchResponse v17", "tottime"):
        assert words in output


def test_the_fastest_round_of_each_side_counts() -> None:
    """Rounds alternate, and noise only ever adds."""
    calls: list[str] = []
    ours, theirs = codec_benchmark.alternate(lambda: calls.append("a"), lambda: calls.append("b"), 3, 2)
    assert "".join(calls) == "ab" + "aabb" * 3
    assert ours > 0
    assert theirs > 0
