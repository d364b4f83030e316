"""The benchmarks: what camkit costs, as ratios measured side by side in one run.

    make bench                                       all but the last three (15 min, 2 idle cores)
    make bench PARTS="classic head"                  these parts only
    make bench PARTS=lessons WITH=../camkit-1.0.0    each lesson here and in another checkout
    make bench PARTS=judge                           the judge's page of the reference
    make bench PARTS=classroom                       a class of the graded course, of 30 students
    make bench PARTS=commands WITH=../camkit-1.0.0   `make notebooks` and `make test` in both

The network is ResNet50 at 224×224 with random weights, but where a line says otherwise. The rivals
of one line are called in turn, round after round, and the median of the rounds' ratios is printed
beside its goal. The rounds differ: `model.predict` alone waits up to 0.3 s for the threads of its
own data pipeline in about two calls of three. Lessons and commands are told in units of a fixed
matrix product that is timed beside them. `--quick` tries the machinery out in small.
"""

import argparse
import json
import os
import sys

import backends
import classroom
import cluster
import commands
import faults
import judge
import network
import sets
from measure import FULL, QUICK

PARTS = {
    "forward": network.forward,
    "backends": backends.backends,
    "classic": network.classic,
    "vis": network.vis,
    "family": network.family,
    "head": network.head,
    "analyze": sets.analyze,
    "faults": faults.faults,
    "neighbours": faults.neighbours,
    "atlas": sets.atlas,
    "cluster": cluster.cluster,
    "lessons": commands.lessons,
}
# Half an hour and more, or what writes a page: by name alone.
LONG_PARTS = {
    "commands": commands.commands,
    "judge": judge.judge,
    "classroom": classroom.classroom,
}
CHILDREN = {
    "beside_predict": backends.beside_predict,
    "child": sets.child,
    "paged": sets.paged,
    "spread": cluster.spread,
}


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = {**PARTS, **LONG_PARTS}
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[*every, []],
        help="the parts to run (default: all but commands, judge and classroom)",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: the ratios mean nothing")
    parser.add_argument(
        "--with", dest="other", help="another checkout with its .venv, for lessons and commands"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parse_options()
    if options.child:
        settings = json.loads(options.child)
        task = settings.pop("task")
        CHILDREN[task](**settings)
        return
    load = os.getloadavg()[0]
    busy = ": the machine is busy, expect ratios that are off" if load > 1 else ""
    print(f"{os.cpu_count()} cores, load {load:.1f}{busy}", flush=True)
    scale = QUICK if options.quick else FULL
    if options.other:
        scale = scale | {"other": options.other}
    missed = 0
    for name in options.parts or PARTS:
        for line in {**PARTS, **LONG_PARTS}[name](scale):
            print(line, flush=True)
            if not line.met:
                missed += 1
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
