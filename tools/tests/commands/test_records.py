"""`ottla produce` and `ottla consume`: what goes in comes out, in every form, and no more than was asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ottla import Broker
from tools.commands.produce import delimiter_of
from tools.failures import Misunderstood
from tools.output.records import console, kcat_format
from tools.tests.commands.conftest import Ottla

ALL = ("--from-beginning", "-e")


def test_lines_go_in_and_come_out(ottla: Ottla) -> None:
    """In their order; an empty line is an empty record."""
    ottla("topics", "create", "lines")
    ottla("produce", "lines", given="one\n\ntwo")
    assert ottla("consume", "lines", *ALL).out == "one\n\ntwo\n"


def test_keys_headers_and_timestamps_go_in_and_come_out(ottla: Ottla) -> None:
    """In the formats of kcat and of Kafka's console consumer."""
    ottla("topics", "create", "parts")
    words = ("-K", ":", "-H", "source=shop", "-H", "bare", "-T", "2026-11-30T18:00:00Z", "-z", "zstd", "-v")
    assert ottla("produce", "parts", *words, given="k:v\n").out == "parts-0@0\n"
    (line,) = ottla("consume", "parts", *ALL, "-J").lines
    assert json.loads(line) == {
        "topic": "parts", "partition": 0, "offset": 0, "tstype": "create", "ts": 1796061600000, "broker": 1,
        "headers": ["source", "shop", "bare", None], "key": "k", "payload": "v",
    }  # fmt: skip
    assert ottla("consume", "parts", *ALL, "-f", r"%t/%p/%o %k=%s %h %T %K %S %%\t.\n").out == (
        "parts/0/0 k=v source=shop,bare=NULL 1796061600000 1 1 %\t.\n"
    )
    assert ottla("consume", "parts", *ALL, "--print", "key,timestamp,headers,partition,offset").out == (
        "CreateTime:1796061600000\tPartition:0\tOffset:0\tsource:shop,bare:null\tk\tv\n"
    )
    kafkas = ("--formatter-property", "print.key=true", "--formatter-property", "key.separator=|")
    assert ottla("consume", "parts", *ALL, *kafkas).out == "k|v\n"
    reader = [
        word
        for each in ("parse.key=true", "key.separator=,", "null.marker=NULL")
        for word in ("--reader-property", each)
    ]
    ottla("produce", "parts", *reader, given="l,NULL\n")
    assert ottla("consume", "parts", "-o", "-1", "-e", "-K", ":").out == "l:null\n"


@pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")
def test_kcat_prints_the_same(ottla: Ottla, broker: Broker) -> None:
    """Its JSON, as far as a topic's text goes, and its format strings; and it reads what it has written."""
    ottla("topics", "create", "beside")
    words = ["kcat", "-b", broker.bootstrap_servers, "-t", "beside"]
    subprocess.run([*words, "-P", "-K", ":", "-H", "a=1"], input=b"k:v\nl:w\n", check=True, timeout=60)
    ottla("produce", "beside", "-K", ":", "-H", "b=2", given="m:x\n")
    reading = [*words, "-C", "-e", "-q", "-o", "beginning"]
    theirs = subprocess.run([*reading, "-J"], capture_output=True, text=True, check=True, timeout=60).stdout
    ours = ottla("consume", "beside", *ALL, "-J").lines
    assert [json.loads(line) for line in ours] == [json.loads(line) for line in theirs.splitlines()]
    form = r"%t %p %o %k=%s %h %T %K %S %%\n"
    theirs = subprocess.run([*reading, "-f", form], capture_output=True, text=True, check=True, timeout=60).stdout
    assert ottla("consume", "beside", *ALL, "-f", form).out == theirs


def test_json_carries_any_record_from_topic_to_topic(ottla: Ottla) -> None:
    """Bytes that are no text, nulls, headers and times: what was copied is the same."""
    ottla("topics", "create", "original")
    ottla("topics", "create", "copy")
    ottla("produce", "original", "-K", "=", "-Z", "NULL", "-H", "h=1", given=b"a=\xff\xfe\nNULL=x\nb=NULL\n")
    lines = ottla("consume", "original", *ALL, "-J").out
    ottla("produce", "copy", "-J", given=lines)
    copied = [json.loads(line) for line in ottla("consume", "copy", *ALL, "-J").lines]
    expected = [json.loads(line) | {"topic": "copy"} for line in lines.splitlines()]
    assert copied == expected
    assert [record["payload"] for record in copied] == [None, "x", None]
    assert copied[0]["payload_base64"] == "//4=" and copied[1]["key"] is None


def test_files_are_read(ottla: Ottla, tmp_path: Path) -> None:
    """One after the other, with a delimiter of one's own; a file that is missing is named."""
    ottla("topics", "create", "files")
    (tmp_path / "a").write_text("1;2;")
    (tmp_path / "b").write_text("3")
    ottla("produce", "files", str(tmp_path / "a"), str(tmp_path / "b"), "-D", ";")
    assert ottla("consume", "files", *ALL, "-D", ",").out == "1,2,3,"
    missing = ottla("produce", "files", str(tmp_path / "c"), succeeds=False)
    assert missing.status == 2 and "c: No such file" in missing.err


def test_a_range_is_by_offset_or_moment(ottla: Ottla) -> None:
    """`--from` and `--to`, kcat's `-o`, and how many."""
    ottla("topics", "create", "range", "--partitions", "1")
    for hour in range(5):
        ottla("produce", "range", "-T", f"2026-11-30T1{hour}:00:00", given=f"{hour}\n")
    assert ottla("consume", "range", "--from", "1", "--to", "3").lines == ["1", "2"]
    assert ottla("consume", "range", "--from", "2026-11-30T12:00", "--to", "2026-11-30T13:30").lines == ["2", "3"]
    assert ottla("consume", "range", "-o", "-2", "-e").lines == ["3", "4"]
    assert (
        ottla("consume", "range", "--from", "-9000d", "--to", "end").lines
        == ottla("consume", "range", "-o-9000d", "-e").lines
    )
    assert ottla("consume", "range", "-o", "s@1796040000000", "-e").lines == ["2", "3", "4"]
    assert ottla("consume", "range", "--from-beginning", "-c", "2").lines == ["0", "1"]
    assert ottla("consume", "range", "-o", "end", "--timeout-ms", "300").lines == []
    assert ottla("consume", "range", "--from", "2027-01-01", "-e").lines == []


def test_partitions_are_written_and_read_one_by_one(ottla: Ottla) -> None:
    """`-p` on both sides; a key goes where Java's partitioner puts it."""
    ottla("topics", "create", "three", "--partitions", "3")
    ottla("produce", "three", "-p", "2", given="second\n")
    assert ottla("consume", "three", *ALL, "-p", "2").lines == ["second"]
    assert ottla("consume", "three", *ALL, "-p", "0").lines == []


def test_a_group_reads_on_where_it_was(ottla: Ottla) -> None:
    """W8: what was printed is committed, also after `-c`, and nothing else."""
    ottla("topics", "create", "grouped")
    ottla("produce", "grouped", given="1\n2\n3\n4\n")
    assert ottla("consume", "grouped", "-G", "readers", "--from-beginning", "-c", "2").lines == ["1", "2"]
    (row,) = ottla("groups", "describe", "readers", "--json").json
    assert (row["current_offset"], row["log_end_offset"], row["lag"]) == (2, 4, 2)
    assert ottla("consume", "grouped", "-G", "readers", "-e").lines == ["3", "4"]


def test_transactions_are_whole_or_not_there(ottla: Ottla) -> None:
    """`-X transactional.id` makes one of all records; an input that breaks off leaves nothing for read_committed, and a
    range ends though its last offset is the mark of a transaction."""
    ottla("topics", "create", "atomic")
    ottla("produce", "atomic", "-X", "transactional.id=cli-test", "-J", given='{"payload":"a"}\n{"payload":"b"}\n')
    broken = ottla(
        "produce", "atomic", "-X", "transactional.id=cli-test", "-J", given='{"payload":"c"}\nnot\n', succeeds=False
    )
    assert broken.status == 2 and "line 2" in broken.err
    assert ottla("consume", "atomic", *ALL, "--isolation-level", "read_committed").lines == ["a", "b"]


def test_what_is_refused_is_said(ottla: Ottla) -> None:
    """A topic that is not there, a record that is too large, a broker that does not answer: one sentence, status 1."""
    assert "Topic 'nowhere' does not exist as expected" in ottla("consume", "nowhere", succeeds=False).err
    ottla("topics", "create", "small", "--config", "max.message.bytes=100")
    refused = ottla("produce", "small", given="x" * 1000 + "\n", succeeds=False)
    assert refused.status == 1 and "MSG_SIZE_TOO_LARGE" in refused.err
    assert ottla("produce", "small", "-b", "127.0.0.1:1", given="x\n", succeeds=False).status == 1


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (["produce"], "", "to which topic?"),
        (["produce", "t", "-K", ":"], "no key\n", "standard input, line 1: there is no ':'"),
        (["produce", "t", "-J"], "[]\n", "it is no JSON object"),
        (["produce", "t", "-J"], '{"headers":["a"]}\n', "headers are a list"),
        (["produce", "t", "-J"], '{"key_base64":"?"}\n', "key_base64"),
        (["consume"], "", "which topic?"),
        (["consume", "t", "-G", "g", "--from", "3"], "", "a group goes on where it was"),
        (["consume", "t", "--follow", "-e"], "", "contradict each other"),
        (["consume", "t", "--from", "3", "--from-beginning"], "", "contradict each other"),
        (["consume", "t", "-c", "few"], "", "'few' is not a number of records"),
        (["consume", "t", "-f", "%x"], "", "%x, which is no token of kcat's"),
        (["consume", "t", "--print", "colour"], "", "not colour"),
        (["consume", "t", "--from", "yesterday"], "", "yesterday is no moment"),
        (["consume", "t", "--formatter-property", "a=b"], "", "--formatter-property is a=b"),
    ],
)
def test_words_and_lines_that_make_no_sense(ottla: Ottla, words: list[str], given: str, sentence: str) -> None:
    """Status 2 and one sentence that names them."""
    ottla("topics", "create", "t", "--if-not-exists")
    ended = ottla(*words, given=given, succeeds=False)
    assert ended.status == 2 and sentence in ended.err


def test_delimiters_have_escapes() -> None:
    """As kcat's have."""
    assert delimiter_of(r"\t") == b"\t"
    assert delimiter_of(r"\x00") == b"\x00"
    assert delimiter_of("::") == b"::"


def test_formats_are_judged_before_anything_is_read() -> None:
    """A token that is not there is no surprise after an hour."""
    with pytest.raises(Misunderstood):
        kcat_format("%q", b"")
    with pytest.raises(Misunderstood):
        console({"nothing"}, b"", b"", b"")


def test_without_the_library_it_is_said_what_to_install(ottla: Ottla, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; everything but records works without it, and doctor says so too."""
    ottla("topics", "create", "bare")
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    for words in (["produce", "bare"], ["consume", "bare", "-e"]):
        ended = ottla(*words, given="x\n", succeeds=False)
        assert ended.status == 1 and ended.err.endswith("confluent-kafka: pip install 'ottla[cli]'\n")
    assert any("pip install 'ottla[cli]'" in line for line in ottla("doctor").lines)
