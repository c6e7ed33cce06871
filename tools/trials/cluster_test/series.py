"""Many long runs, in pieces: interrupted at any moment, a series goes on with the piece that has no result.

    directory/
        series.json             what was asked for
        run-01/
            cluster/            database, bucket and logs of the brokers, until the run has ended
            piece-01            the history of the first operations
            piece-01.result     its seed, the faults, how many anomalies; when it is there, the piece is done
            piece-01.log        what its process has said
            again.result        when all pieces are done, a cluster that remembers nothing reads all of them once more

A piece that does not come to its end stops the series: its log says why, and the next call plays it again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from tools.trials.brokers import ROOT
from tools.trials.transaction_test.history import read_history

ASKED: Final = ("brokers", "bucket", "operations", "piece", "runs", "lanes", "fault", "seed")
"""The options that make a series, which every call has to repeat or leave out."""


def play(options: argparse.Namespace) -> int:
    """As many pieces as there are, or as the seconds allow; the exit status."""
    directory: Path = options.series.absolute()  # its pieces run elsewhere
    directory.mkdir(parents=True, exist_ok=True)
    plan = _plan(directory, options)
    began = time.monotonic()
    for run in range(1, plan["runs"] + 1):
        place = directory / f"run-{run:02}"
        place.mkdir(exist_ok=True)
        pieces = [place / f"piece-{piece:02}" for piece in range(1, -(-plan["operations"] // plan["piece"]) + 1)]
        for history in pieces:
            if history.with_suffix(".result").exists():
                continue
            if time.monotonic() - began > options.seconds:
                return _report(directory, plan)
            seed = random.Random(f"{plan['seed']}/{run}/{history.name}").randrange(1 << 32)
            words = ["--operations", str(plan["piece"]), "--seed", str(seed), "--history", str(history)]
            if not _play_piece(plan, place / "cluster", history, words):
                return 1
        again = place / "again"
        if not again.with_suffix(".result").exists():
            words = ["--operations", "0", *(word for history in pieces for word in ("--read-again", str(history)))]
            if not _play_piece(plan, place / "cluster", again, words):
                return 1
        shutil.rmtree(place / "cluster", ignore_errors=True)
    return _report(directory, plan)


def _plan(directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What was asked for when the series began; what is asked for now, if it begins."""
    path = directory / "series.json"
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        print(f"goes on with {known}", flush=True)
        return known
    plan = {name: getattr(options, name) for name in ASKED}
    if plan["seed"] is None:
        plan["seed"] = random.SystemRandom().randrange(1 << 32)
    path.write_text(json.dumps(plan) + "\n")
    return plan


def _play_piece(plan: dict[str, Any], cluster: Path, name: Path, words: list[str]) -> bool:
    """Whether it came to its end, sound or not."""
    command = [sys.executable, "-m", "tools.trials", "cluster-test", "--cluster", str(cluster), *words]
    command += ["--brokers", str(plan["brokers"]), "--lanes", str(plan["lanes"]), "--bucket", plan["bucket"]]
    command += [word for role in plan["fault"] or [] for word in ("--fault", role)]
    result, log = name.with_suffix(".result"), name.with_suffix(".log")
    began = time.monotonic()
    with log.open("wb") as output:
        subprocess.run([*command, "--result", str(result)], cwd=ROOT, stdout=output, stderr=output, check=False)
    if not result.exists():
        print(f"{name.parent.name} {name.name} did not come to its end: {log}", file=sys.stderr)
        return False
    found = json.loads(result.read_text())
    print(
        f"{name.parent.name} {name.name}: {found['anomalies']} anomalies, {time.monotonic() - began:.0f} s", flush=True
    )
    return True


def _report(directory: Path, plan: dict[str, Any]) -> int:
    """Print what there is so far; 1 if there are anomalies."""
    faults: Counter[str] = Counter()
    operations = seconds = anomalies = whole = 0
    for place in sorted(directory.glob("run-*")):
        pieces = {each: json.loads(each.read_text()) for each in sorted(place.glob("piece-*.result"))}
        for path, found in pieces.items():
            faults.update(found["faults"])
            seconds += found["seconds"]
            operations += len(read_history(path.with_suffix("")))
        again = place / "again.result"
        whole += again.exists()
        # What was read again was checked again, with all that was there before.
        last = [json.loads(again.read_text())] if again.exists() else pieces.values()
        anomalies += sum(found["anomalies"] for found in last)
    said = ", ".join(f"{what} {count} times" for what, count in sorted(faults.items()))
    print(f"{operations:,} of {plan['runs'] * plan['operations']:,} operations in {seconds:,} s; seed {plan['seed']}")
    print(f"{whole} of {plan['runs']} runs are whole; {said or 'no faults'}; anomalies: {anomalies}")
    return 1 if anomalies else 0
