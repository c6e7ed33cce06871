"""`trials fuzz`: make inputs for the decoders and see whether one breaks a promise. Exit status 0: none; 1: some
did."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kproto.tests.fuzz.families import Family

LONGEST_INPUT = 4096
SECONDS_PER_INPUT = 20
MEGABYTES = 1024

_PROGRESS = re.compile(r"^#(\d+)\s.*?\bcov: (\d+) ft: (\d+) corp: (\d+)/")


class Result(NamedTuple):
    """What came out of one family's hunt."""

    name: str
    executions: int = 0
    branches: int = 0
    inputs: int = 0
    seconds: float = 0.0
    findings: tuple[Path, ...] = ()
    failure: str = ""

    def __str__(self) -> str:
        rate = self.executions / self.seconds if self.seconds else 0
        words = f"{self.name:<20} {self.executions:>12,} executions ({rate:,.0f}/s), coverage {self.branches:,}, "
        words += f"{self.inputs:,} inputs, {len(self.findings)} findings"
        return f"{words}; {self.failure}" if self.failure else words


def main(arguments: Sequence[str]) -> int:
    """Run `python -m tools.trials fuzz`."""
    if importlib.util.find_spec("kproto.tests") is None:
        print(
            "python -m tools.trials fuzz: the fuzz targets are in the source tree, not in the installed package",
            file=sys.stderr,
        )
        return 2
    known = {family.name: family for family in all_families()}
    options = parse(arguments, sorted(known))
    names = [name.replace("-", "_") for name in options.family] or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        print(
            f"python -m tools.trials fuzz: no family {', '.join(unknown)}; there are {', '.join(known)}",
            file=sys.stderr,
        )
        return 2
    chosen = [known[name] for name in names]
    if options.input:
        return try_inputs(chosen, options.input)
    if importlib.util.find_spec("atheris") is None:
        print("trials fuzz: needs atheris, which makes the inputs: pip install 'ottla[fuzz]'. The kept inputs are "
              "played by the test suite without it.", file=sys.stderr)  # fmt: skip
        return 2
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        place = Path(options.corpus or scratch)

        def one(family: Family) -> Result:
            result = hunt(family, options.seconds, place / family.name, Path(options.findings) / family.name)
            print(result, flush=True)
            for path in result.findings:
                print(f"  {path}: {last_line(path)}", flush=True)
            if options.keep:
                module = [sys.executable, "-m", "tools.trials.fuzz.branches", family.package, family.name]
                subprocess.run([*module, str(place / family.name)], check=True)
            return result

        with ThreadPoolExecutor(options.jobs) as threads:
            results = list(threads.map(one, chosen))
    total = sum(result.executions for result in results)
    found = sum(len(result.findings) for result in results)
    failed = [result.name for result in results if result.failure]
    print(f"{total:,} executions, {found} findings" + (f"; ended early: {', '.join(failed)}" if failed else ""))
    return 1 if found or failed else 0


def all_families() -> list[Family]:
    """Every family of every package."""
    from kproto.tests.fuzz.families import PACKAGES, Family, families

    return [Family(package, name) for package in PACKAGES for name in families(package)]


def hunt(family: Family, seconds: int, corpus: Path, findings: Path) -> Result:
    """Fuzz one family in a process of its own."""
    corpus.mkdir(parents=True, exist_ok=True)
    for data in (*family.corpus(), *family.seeds(), *family.regressions().values()):
        (corpus / sha256(data).hexdigest()[:20]).write_bytes(data)
    before = found_in(findings)
    prefix = f"{corpus.parent / family.name}-"
    command = [
        *(sys.executable, "-m", "tools.trials.fuzz.hunt", family.package, family.name, str(findings)),
        *(f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", f"-timeout={SECONDS_PER_INPUT}"),
        *(f"-rss_limit_mb={MEGABYTES}", f"-artifact_prefix={prefix}", "-print_final_stats=0", str(corpus)),
    ]
    began = time.monotonic()
    result = Result(family.name)
    last: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            last = [*last[-30:], line.rstrip()]
            if match := _PROGRESS.match(line):
                executions, branches, _, inputs = map(int, match.groups())
                result = result._replace(executions=executions, branches=branches, inputs=inputs)
    for path in corpus.parent.glob(f"{family.name}-*"):
        if path.is_file():  # libFuzzer's own findings: too slow, too large, a crash of the interpreter
            findings.mkdir(parents=True, exist_ok=True)
            path.rename(findings / path.name.removeprefix(f"{family.name}-"))
    new = tuple(sorted(found_in(findings) - before))
    failure = f"the process ended with {process.returncode}: {' | '.join(last[-3:])}" if process.returncode else ""
    return result._replace(seconds=time.monotonic() - began, findings=new, failure=failure)


def found_in(findings: Path) -> set[Path]:
    """The inputs in a folder of findings, their explanations left out."""
    return {path for path in findings.iterdir() if path.suffix != ".txt"} if findings.is_dir() else set()


def last_line(finding: Path) -> str:
    """The end of a finding's explanation."""
    trace = finding.with_suffix(".txt")
    return trace.read_text(encoding="utf-8").rstrip().rpartition("\n")[2] if trace.exists() else "see the file"


def try_inputs(chosen: Sequence[Family], paths: Sequence[str]) -> int:
    """Put the contents of files through the targets, without atheris."""
    status = 0
    for family in chosen:
        for path in paths:
            try:
                family.target()(Path(path).read_bytes())
            except Exception:
                print(f"{family.name}: {path} is a finding\n{traceback.format_exc()}")
                status = 1
            else:
                print(f"{family.name}: {path} is fine")
    return status


def parse(arguments: Sequence[str], names: Sequence[str]) -> argparse.Namespace:
    """The options; prints usage and exits with 2 on words it does not know."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trials fuzz",
        description="Mutate inputs of the decoders, guided by coverage, and report each one that breaks a promise.",
        epilog=f"Families: {', '.join(names)}.",
    )
    parser.add_argument("family", nargs="*", metavar="FAMILY", help="which decoders (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="time for each family (default 60)")
    parser.add_argument("--jobs", type=int, default=1, help="families at a time (default 1)")
    parser.add_argument("--keep", action="store_true", help="add the new inputs that matter to the kept corpus")
    parser.add_argument("--corpus", metavar="DIR", help="a folder for all inputs collected, to go on from next time")
    parser.add_argument(
        "--findings", metavar="DIR", default="fuzz-findings", help="where findings go (default fuzz-findings)"
    )
    parser.add_argument("--input", metavar="FILE", nargs="+", help="try these files only; needs no atheris")
    return parser.parse_args(arguments)
