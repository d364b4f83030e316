"""Batches of training examples in an order that is drawn anew for each epoch."""

import keras
import numpy as np

BATCH_SIZE = 32


class ShuffledBatches(keras.utils.PyDataset):
    """The order of the examples; a subclass adds `__getitem__`, which returns one batch."""

    def __init__(self, count: int, seed: int):
        """Draw the order of `count` examples; `seed` decides on all that is drawn."""
        super().__init__()
        self.count = count
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        """Draw the order of the next epoch."""
        self.order = self.rng.permutation(self.count)

    def __len__(self) -> int:
        """Return the number of batches; examples that do not fill one are left out."""
        return self.count // BATCH_SIZE

    def examples(self, index: int) -> np.ndarray:
        """Return the indices (BATCH_SIZE,) of the examples of a batch."""
        start = index * BATCH_SIZE
        return self.order[start : start + BATCH_SIZE]
