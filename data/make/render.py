"""Render the embedded image set: twelve kinds of fruit, each turning on a white table.

The same seed gives the same bytes.

    python data/make/render.py                        write the images, planted.json, manifest.json
    python data/make/render.py --contact-sheet PATH   paste four images of each turn onto one sheet
    python data/make/render.py --manifest             write manifest.json alone
"""

import argparse
import hashlib
import io
import json
import re
from collections.abc import Iterable, Sequence
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from fruits import CLASSES, INDIVIDUALS, LEANS
from PIL import Image
from studio import Pose, photograph, turn, unit
from tqdm import tqdm

DATA = Path(__file__).resolve().parents[1]
FRUITS = DATA / "mini-fruits"
MANIFEST = DATA / "manifest.json"
PLANTED = DATA / "planted.json"

# The angles of a turn in degrees; every third frame belongs to Test.
FRAME_STEP = 24
FRAMES = range(0, 360, FRAME_STEP)
AXES = range(4)

# The colours of studio.NAMES in a map of parts.
COLOURS = (
    (255, 255, 255),
    (225, 190, 140),
    (110, 70, 40),
    (60, 140, 50),
    (80, 120, 230),
)

# Pairs that a tired sorter might exchange.
SLIPS = [
    ("Apple Green", "Pear"),
    ("Apple Red", "Tomato"),
    ("Cherry", "Plum"),
    ("Lemon", "Lime"),
    ("Mandarin", "Orange"),
    ("Strawberry", "Tomato"),
]

# The kind of each planted fault, and the split that it falls into.
FAULTS = [
    ("wrong label", "Test"),
    ("wrong label", "Test"),
    ("wrong label", "Test"),
    ("wrong label", "Training"),
    ("two labels", "Test"),
    ("two labels", "Training"),
]

# The class, individual and angle of an image.
Key = tuple[str, int, int]


def render(class_name: str, axis: int, frame: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of one fruit and its parts.

    Args:
        class_name: The kind of fruit.
        axis: 0 to 3: the individual, and the way it lies.
        frame: Degrees that it has turned.
        seed: The set; individuals of other seeds differ.

    Returns:
        The image, uint8 RGB (100, 100, 3), and its parts, uint8 (100, 100), numbered as in
        studio.NAMES.
    """
    recipe, traits = INDIVIDUALS[class_name]
    rng = np.random.default_rng([seed, CLASSES.index(class_name), axis])
    pose = draw_pose(rng, class_name, axis, frame)
    exposure = rng.uniform(0.9, 1.06)
    warmth = rng.uniform(-0.02, 0.02)
    parts = recipe(rng, **traits[axis])
    return photograph(parts, pose, exposure, tint=(1 + warmth, 1, 1 - warmth))


def draw_pose(rng: np.random.Generator, class_name: str, axis: int, frame: int) -> Pose:
    """Return how an individual lies on the table, turned by `frame` degrees."""
    lean = LEANS[class_name][axis] + rng.uniform(-6, 6)
    round_stem = rng.uniform(0, 360)
    camera_height = 28
    if class_name == "Banana":
        # Bananas lie flat; and seen from low down, end-on, a banana is a riddle.
        round_stem = 0.0
        camera_height = 58
    lie = turn(0, lean) @ turn(1, round_stem)
    spin = turn(1, frame + rng.uniform(0, 360))
    height = np.radians(camera_height + rng.uniform(-6, 6))
    up = [0, 1, 0]
    eye = [0, np.sin(height), np.cos(height)]
    light = [-0.6, 0.75, 0.55]
    studio_axes = np.array([up, eye, light]).T
    object_axes = unit((spin @ lie).T @ studio_axes)
    return Pose(*object_axes.T[:, :, None])


# --- The image set --------------------------------------------------------------------------------


def split_of(frame: int) -> str:
    """Return the split of a frame: every third of a turn is left out of training."""
    return "Test" if frame // FRAME_STEP % 3 == 1 else "Training"


def path_of(class_name: str, axis: int, frame: int) -> str:
    """Return the path of an image in the set."""
    return f"{split_of(frame)}/{class_name}/r{axis}_{frame}_100.jpg"


def plan(seed: int = 0) -> tuple[dict[str, Key], list[dict[str, str]]]:
    """Return the set as {path: what to render}, and the list of its planted faults.

    Four images stand under a wrong label: taken between two frames of their turn, they replace one
    of the folder that they fell into. Two images stand under two labels, byte for byte.
    """
    keys = [(name, axis, frame) for name in CLASSES for axis in AXES for frame in FRAMES]
    images = {path_of(*key): key for key in keys}
    rng = np.random.default_rng([seed, 6])
    slips = [rng.permutation(SLIPS[index]).tolist() for index in rng.permutation(len(SLIPS))]
    faults = []
    for (true_class, wrong_class), (kind, split) in zip(slips, FAULTS, strict=True):
        fault, key = _draw_fault(rng, kind, true_class, wrong_class, split)
        images[fault["path"]] = key
        faults.append(fault)
    return images, faults


def _draw_fault(
    rng: np.random.Generator, kind: str, true_class: str, wrong_class: str, split: str
) -> tuple[dict[str, str], Key]:
    """Return a planted fault, as planted.json describes it, and what to render at its path."""
    axis, wrong_axis = (int(number) for number in rng.integers(0, 3, 2))
    frame = int(rng.choice([frame for frame in FRAMES if split_of(frame) == "Test"]))
    wrong_frame = int(rng.choice([frame for frame in FRAMES if split_of(frame) == split]))
    path = path_of(wrong_class, wrong_axis, wrong_frame)
    fault = {"kind": kind, "path": path, "true_class": true_class}
    if kind == "two labels":
        fault["other_path"] = path_of(true_class, axis, frame)
        return fault, (true_class, axis, frame)
    return fault, (true_class, axis, frame + FRAME_STEP // 2)


# --- Files ----------------------------------------------------------------------------------------


def jpeg(image: np.ndarray) -> bytes:
    """Return an image as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=92, subsampling="4:2:0", optimize=True)
    return file.getvalue()


def palette(parts: np.ndarray) -> bytes:
    """Return a map of parts as a PNG file whose pixels are numbers and which shows colours."""
    image = Image.fromarray(parts)
    image.putpalette(np.ravel(COLOURS).tolist())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, bits=4)
    return file.getvalue()


def write_image(job: tuple[str, Key]) -> None:
    """Render what belongs at a path, and write the image, its mask and its parts."""
    path, key = job
    image, parts = render(*key)
    image_file = FRUITS / path
    mask_file = (FRUITS / "Masks" / path).with_suffix(".png")
    parts_file = (FRUITS / "Parts" / path).with_suffix(".png")
    for file in (image_file, mask_file, parts_file):
        file.parent.mkdir(parents=True, exist_ok=True)
    image_file.write_bytes(jpeg(image))
    Image.fromarray(parts > 0).convert("1").save(mask_file, optimize=True)
    parts_file.write_bytes(palette(parts))


def write_set() -> None:
    """Render and write the whole set, and the list of its planted faults."""
    images, faults = plan()
    with Pool(2) as pool:
        jobs = pool.imap_unordered(write_image, images.items(), 4)
        for _ in tqdm(jobs, total=len(images), desc="rendering", unit="image"):
            pass
    PLANTED.write_text(json.dumps(faults, indent=1) + "\n")


def write_manifest() -> None:
    """List every data file with its size and checksum in manifest.json, by script and licence."""
    photographs = DATA / "photographs"
    drawn = [photographs / "boxes.csv", photographs / "sources.csv"]
    free = "CC0-1.0 or public domain, see photographs/sources.csv"
    sources = [
        ("data/make/render.py", "CC0-1.0", [*FRUITS.glob("**/*"), PLANTED]),
        ("data/make/pretrain.py", "CC0-1.0", [DATA / "mini-backbone.weights.h5"]),
        ("data/make/vit.py", "CC0-1.0", [DATA / "mini-vit.keras"]),
        ("data/make/photographs.py", free, photographs.glob("*/*.jpg")),
        ("data/README.md", "CC0-1.0", drawn),
        ("data/README.md", "LicenseRef-WordNet", [DATA / "imagenet-names.txt"]),
    ]
    groups = []
    for source, licence, files in sources:
        groups.append({"source": source, "licence": licence, "files": _entries(files)})
    text = json.dumps({"columns": ["bytes", "sha256"], "groups": groups}, indent=1)
    # Size and checksum of a file on one line.
    text = re.sub(r"\[\s+(\d+),\s+(\S+)\s+\]", r"[\1, \2]", text)
    MANIFEST.write_text(text + "\n")


def _entries(paths: Iterable[Path]) -> dict[str, list]:
    """Return {path: [bytes, SHA-256]} of those paths that are files."""
    entries = {}
    for path in sorted(paths):
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entries[path.relative_to(DATA).as_posix()] = [path.stat().st_size, digest]
    return entries


def write_contact_sheet(
    target: str, frames: Sequence[int] = (0, 96, 192, 288), zoom: int = 2
) -> None:
    """Paste some frames of every turn onto one sheet, a class in each row."""
    rows = []
    for name in CLASSES:
        paths = [FRUITS / path_of(name, axis, frame) for axis in AXES for frame in frames]
        rows.append(np.hstack([np.asarray(Image.open(path)) for path in paths]))
    sheet = Image.fromarray(np.vstack(rows))
    width, height = sheet.size
    sheet.resize((width * zoom, height * zoom), Image.LANCZOS).save(target)


def main() -> None:
    """Do what the command line asks for; by default, write the whole image set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--contact-sheet", metavar="PATH", help="write a sheet of the images alone")
    parser.add_argument("--manifest", action="store_true", help="write manifest.json alone")
    options = parser.parse_args()
    if options.contact_sheet:
        write_contact_sheet(options.contact_sheet)
        return
    if not options.manifest:
        write_set()
    write_manifest()


if __name__ == "__main__":
    main()
