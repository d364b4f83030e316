"""An analysis on a Ray cluster of two machines of one core each."""

import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import Line, started, write_images

import camkit


def cluster(scale):
    """`analyze` on Ray: two workers on a core each against one on one core; what Ray and the driver
    add to a picture.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_images(folder + "/images", "Test", scale["spread"], 100)
        rounds = [
            [
                started("spread", folder=folder, cores=cores, size=scale["size"])
                for cores in (0, 1, 2)
            ]
            for _ in range(2)
        ]
    here, one, two = (min(run["seconds"] for run in runs) for runs in zip(*rounds, strict=True))
    yield Line(
        "two workers on a core each / one worker on one core",
        one / two,
        "≥",
        1.8,
        "×",
        f"{1e3 * one:.1f} ms an image against {1e3 * two:.1f} ms, MobileNetV2 at {scale['size']}, "
        f"{scale['spread']} images",
    )
    yield Line(
        "one worker / engine=None on the same core, an image",
        one / here,
        "≤",
        1.1,
        "×",
        f"{1e3 * one:.1f} ms against {1e3 * here:.1f} ms",
    )
    cpu = 1e3 * min(run[2]["driver"] for run in rounds)
    yield Line(
        "the driver's own time, an image",
        cpu,
        "≤",
        1,
        " ms",
        "of its core, while two workers work",
    )
    start = np.median([run["start"] for runs in rounds for run in runs[1:]])
    yield Line(
        "until a worker computes",
        start,
        "≤",
        25,
        " s",
        "Ray Data's plan, a new process, its imports, the model's copy and its graph",
    )


def spread(folder, cores, size):
    """Analyse the pictures on so many machines of a core each, or (0) without Ray on one core;
    print seconds of wall and of the driver's processor an image, from the shard by which all
    workers are at work to the last, and those before the first shard that nobody computes.
    """
    import psutil

    from camkit.analysis import _shards as shards

    if not cores:
        os.sched_setaffinity(0, [0])  # before TensorFlow counts the cores
    images = camkit.load_images(folder + "/images", "Test")
    model = camkit.gap_classifier(
        camkit.backbone("MobileNetV2", weights=None, input_size=size), images.class_names
    )
    marks, begun = [], [time.perf_counter()]
    if cores:
        import ray
        from ray.cluster_utils import Cluster

        from camkit.analysis import ray as room

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for core in range(cores):
            raylet = psutil.Process(
                made.add_node(num_cpus=1).all_processes["raylet"][0].process.pid
            )
            for process in (raylet, *raylet.children(recursive=True)):
                process.cpu_affinity([core])
        ray.init(made.address, log_to_driver=False, logging_level="CRITICAL")
        reports = room._reports

        def marked(*args):
            begun.append(time.perf_counter())
            for row in reports(*args):
                beside = sum(
                    sum(process.cpu_times()[:2])
                    for process in psutil.process_iter()
                    if process.name().startswith("ray::_round")
                )
                marks.append((time.perf_counter(), time.process_time() + beside))
                yield row

        room._reports = marked
    else:
        write = shards.write_whole
        shards.write_whole = lambda *args: (
            write(*args),
            marks.append((time.perf_counter(), time.process_time())),
        )
    with tempfile.TemporaryDirectory() as out:
        camkit.analyze(model, images, Path(out, "analysis"), engine="ray" if cores else None)
    first = 2 * max(cores, 1)
    marks = np.array(marks[: len(images) // 256])  # whole shards, and no array of the joined
    marks = np.maximum.accumulate(marks)  # of a round that has ended, too
    wall, cpu = (marks[-1] - marks[first]) / (256 * (len(marks) - 1 - first))
    print(
        json.dumps(
            {
                "seconds": wall,
                "driver": cpu,
                "start": marks[0, 0] - begun[-1] - 256 * wall * max(cores, 1),
            }
        )
    )
