"""`ottla explain` finds messages by any of their names and says what it did not understand."""

import io

import pytest

from tools.commands.explain import main


def test_an_api_by_name_and_by_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Request and response, one after the other."""
    assert main(["Heartbeat"]) == 0
    by_name = capsys.readouterr().out
    assert main(["12"]) == 0
    assert capsys.readouterr().out == by_name
    assert "HeartbeatRequest (key 12), versions 0-4, flexible from 4 on" in by_name
    assert "HeartbeatResponse (key 12)" in by_name


def test_one_message_in_one_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Static members came with version 3."""
    assert main(["HeartbeatRequest", "--version", "2"]) == 0
    assert "group_instance_id" not in capsys.readouterr().out
    assert main(["HeartbeatRequest", "--version", "3", "--source"]) == 0
    assert "group_instance_id" in capsys.readouterr().out


def test_bytes_from_the_command_line_and_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hexadecimal, with or without blanks."""
    digits = "0001 67 00000007 0001 6d"
    assert main(["HeartbeatRequest", "--version", "0", "--hex", digits]) == 0
    given = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO(digits))
    assert main(["HeartbeatRequest", "--version", "0", "--hex", "-"]) == 0
    assert capsys.readouterr().out == given
    assert "group_id = 'g'" in given
    assert "generation_id = 7" in given


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["HeartbeatReqest"], "no message 'HeartbeatReqest'; did you mean 'HeartbeatRequest'?"),
        (["4711"], "no message '4711'"),
        (["Heartbeat", "--source"], "--source and --hex need a --version"),
        (["Heartbeat", "--version", "9", "--source"], "HeartbeatRequest has versions 0 to 4"),
        (["Heartbeat", "--version", "0", "--hex", "00"], "of which of them: HeartbeatRequest or HeartbeatResponse?"),
        (["HeartbeatRequest", "--version", "0", "--hex", "xyz"], "these are not hexadecimal digits"),
    ],
)
def test_what_is_not_understood_is_said(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, exit status 2."""
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err
