"""The view strikes cells out, flips answers and draws boxes as camkit does, number by number."""

import json
import subprocess

import numpy as np
from test_view import FOLDER, node_or_skip

import camkit
from camkit.localize import boxes, scaled

MODULE = (FOLDER / "../../camkit/atlas/view/what-if.js").resolve()
SCRIPT = """
const { flipSet, logitsWithout, remainingOf } = await import(process.argv[1]);
const answers = JSON.parse(require("fs").readFileSync(0)).map((image) => {
  const detail = { ...image, maps: image.maps.map((map) => Float32Array.from(map)) };
  const flips = ["all", "remaining"].flatMap((mean) =>
    [null, ...image.targets].map((target) => flipSet(detail, target, mean)),
  );
  const struck = new Set(image.struck);
  const logits = ["all", "remaining"].map((mean) => logitsWithout(detail, struck, mean));
  const [height, width] = image.size;
  const kept = remainingOf(detail.maps[0], [5, 4], height, width, image.threshold);
  return { flips, logits, box: kept.box, area: kept.area, evidence: kept.evidence };
});
console.log(JSON.stringify(answers));
"""


def image_of(seed):
    """Return maps (5, 4, 3), logits, and what is asked about them."""
    draw = np.random.default_rng(seed)
    maps = draw.normal(size=(5, 4, 3)).astype("float32")
    logits = maps.mean(axis=(0, 1)) + 0.4 * draw.normal(size=3).astype("float32")
    targets = [c for c in range(3) if c != logits.argmax()]
    struck = np.flatnonzero(draw.random(20) < 0.3)
    return maps, logits, targets, struck, (30 + seed, 40), draw.uniform(0.2, 0.8)


def as_cells(flip):
    """Return the cells of a flip set as a list of numbers, None without one."""
    return None if flip is None else np.flatnonzero(flip.cells).tolist()


def test_the_view_computes_what_camkit_does():
    images = [image_of(seed) for seed in range(12)]
    questions = [
        {
            "classes": [0, 1, 2],
            "logits": logits.tolist(),
            "maps": np.moveaxis(maps, -1, 0).reshape(3, -1).tolist(),
            "targets": targets,
            "struck": struck.tolist(),
            "size": size,
            "threshold": threshold,
        }
        for maps, logits, targets, struck, size, threshold in images
    ]
    done = subprocess.run(
        [node_or_skip(), "--input-type=commonjs", "-e", f"(async () => {{{SCRIPT}}})()", MODULE],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    flipped = 0
    for image, answer in zip(images, json.loads(done.stdout), strict=True):
        maps, logits, targets, struck, size, threshold = image
        expected = [
            as_cells(camkit.flip_set(maps, logits, target, mean_over=mean))
            for mean in ("all", "remaining")
            for target in (None, *targets)
        ]
        sorted_flips = [cells and sorted(cells) for cells in answer["flips"]]
        assert sorted_flips == expected
        flipped += sum(cells is not None for cells in expected)
        cells = np.isin(np.arange(20), struck).reshape(5, 4)
        for mean, without in zip(("all", "remaining"), answer["logits"], strict=True):
            exact = camkit.strike(maps, logits, cells, mean_over=mean)
            np.testing.assert_allclose(without, exact, atol=1e-6)
        large = camkit.upsample(maps[..., 0], size)
        assert answer["box"] == boxes(large, threshold)[0].tolist()
        kept = scaled(large) >= threshold
        evidence = np.maximum(large, 0)
        np.testing.assert_allclose(answer["area"], kept.mean(), atol=1e-9)
        np.testing.assert_allclose(
            answer["evidence"], evidence[kept].sum() / evidence.sum(), rtol=1e-5
        )
    assert flipped > 40
