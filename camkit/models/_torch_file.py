"""Arrays in a file of `torch.save`, read without PyTorch and without running code of the file.

The file is a sequence of pickles: two numbers, facts on the machine, the dictionary of tensors, and
the keys of their storages. The storages follow in the order of these keys, each as its number of
elements (int64) and the elements. A pickle can call any function that it names; this reader knows
the four names that a dictionary of tensors needs, and refuses all others.
"""

import collections
import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

# The number types of the storages, which are little-endian.
_TYPES: dict[str, np.dtype] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Tensor(NamedTuple):
    """A tensor whose elements stand further down in the file: a view of a storage."""

    key: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    # In elements.
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Reads a dictionary of tensors, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name in the file. Raises ValueError for an unknown name."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # A new function each time, because a pickle can set attributes of what it is given.
            return lambda *parts: _tensor(*parts)
        if module == "torch" and name in _TYPES:
            return name
        raise ValueError(f"it asks for {module}.{name}, which no dictionary of tensors needs")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype]:
        """Return the key and the number type of a storage."""
        kind, type_name, key, _location, _count, view = pid
        if kind != "storage" or view is not None:
            raise ValueError("it refers to something other than a plain storage")
        return key, _TYPES[type_name]


def _tensor(
    storage: tuple[str, np.dtype],
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *_: Any,
) -> _Tensor:
    """Return what the file says of a tensor; gradients and hooks are ignored."""
    key, dtype = storage
    return _Tensor(key, dtype, offset, tuple(shape), tuple(strides))


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors in a file of `torch.save(model.state_dict(), path)`, by name.

    The format is that of PyTorch up to 1.5, which is not a zip archive.

    Args:
        path: The file.

    Returns:
        {name: array}, float32 or int64, with the shape of the tensor.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged, or it holds or asks for something else.
    """
    content = path.read_bytes()
    try:
        return _tensors(io.BytesIO(content), content)
    # Damaged pickles raise errors of nearly every kind.
    except Exception as error:
        # A file may ask for names with line breaks in them.
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} holds no tensors that camkit reads: {reason}") from error


def _tensors(file: io.BytesIO, content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors in an open file."""
    magic = _Unpickler(file).load()
    protocol = _Unpickler(file).load()
    if magic != _MAGIC_NUMBER or protocol != _PROTOCOL:
        raise ValueError("it does not begin as torch.save wrote files up to PyTorch 1.5")
    machine = _Unpickler(file).load()
    if machine["little_endian"] is not True:
        raise ValueError("its numbers are big-endian")
    tensors = _Unpickler(file).load()
    keys = _Unpickler(file).load()

    dtypes = {tensor.key: tensor.dtype for tensor in tensors.values()}
    storages = {}
    start = file.tell()
    for key in keys:
        count = int(np.frombuffer(content, "<i8", 1, start)[0])
        storages[key] = np.frombuffer(content, dtypes[key], count, start + 8)
        start += 8 + storages[key].nbytes
    return {name: _view(tensor, storages[tensor.key]) for name, tensor in tensors.items()}


def _view(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    """Return the elements of a tensor. Raises ValueError if they are not all in the storage."""
    size = tensor.dtype.itemsize
    strides = tuple(size * stride for stride in tensor.strides)
    # The constructor checks the bounds, which `numpy.lib.stride_tricks` does not.
    return np.ndarray(tensor.shape, tensor.dtype, storage, size * tensor.offset, strides)
