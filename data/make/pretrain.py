"""Pretrain the embedded backbone on rendered objects that are none of the twelve fruits.

    python data/make/pretrain.py

It takes about 20 minutes on 2 cores and writes data/mini-backbone.weights.h5. `things` draws the
images, `training` trains on them.
"""

import argparse
from pathlib import Path

import things

# Imported for its effect: it keeps TensorFlow's start-up messages back.
import camkit  # noqa: F401

DATA = Path(__file__).resolve().parents[1]
DRAWN = DATA.parent / "build"
HELD_OUT = 1000


def main() -> None:
    """Draw, train, level the channels, and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images", type=int, default=16000, help="training images (default %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=int, default=4, help="passes over them (default %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=DATA / "mini-backbone.weights.h5")
    options = parser.parse_args()
    images, cover, labels = things.load_or_draw(options.images, 1, DRAWN)
    held_out = things.load_or_draw(HELD_OUT, 2, DRAWN)

    # Imported only now: the processes that draw must not inherit TensorFlow's threads.
    import training

    backbone, model = training.train(images, cover, labels, options.epochs)
    for head, result in training.evaluate(model, *held_out).items():
        if head == "background":
            print(f"background: {result:.3f} of the objects' activation")
        else:
            print(f"{head}: {100 * result:.1f} % of new objects correct")
    first_images = images[: training.IMAGES_TO_LEVEL].astype("float32")
    gap = training.level_channels(backbone, first_images)
    deviation = gap.std(0)
    print(
        f"GAP features before levelling: mean {gap.mean():.3f}, standard deviation "
        f"{deviation.min():.3f} to {deviation.max():.3f}"
    )
    backbone.save_weights(options.output)
    print(f"wrote {options.output} ({options.output.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
