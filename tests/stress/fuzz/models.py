"""Model files as strangers send them: a small whole .keras file, and what is slipped into it or
broken.

What would run, if anything did, writes the file CANARY.
"""

import base64
import io
import json
import marshal
import pickle
import warnings
import zipfile

import h5py
import numpy as np

CANARY = "/tmp/camkit-evil"
NUMBERS = (
    0,
    -1,
    1,
    3,
    999,
    1 << 20,
    1 << 31,
    1 << 62,
    0.5,
    None,
    True,
    "4",
    [],
    {},
    [4, 4],
    "evil",
)
PLACES = (
    "../evil",
    "../../evil",
    CANARY,
    "assets/../../evil",
    "..\\evil",
    "assets/",
    "assets/evil",
    "C:/evil",
    "assets/" + 40 * "../" + CANARY[1:],
    "n" * 300,
    "config.json",
    "metadata.json",
    "model.weights.h5",
)
FOREIGN = (
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("os", "system"),
    ("subprocess", "run"),
    ("pickle", "loads"),
    ("keras.utils", "get_file"),
    ("keras.src.utils.file_utils", "extract_archive"),
    ("shutil", "copyfile"),
    ("keras.src.saving.serialization_lib", "enable_unsafe_deserialization"),
    ("keras.config", "set_backend"),
    ("keras.models", "load_model"),
    ("numpy", "load"),
    ("importlib", "import_module"),
    ("antigravity", "x"),
    ("keras.layers", "StringLookup"),
    ("keras.layers", "TFSMLayer"),
    ("keras.layers", "TorchModuleWrapper"),
    ("camkit.__main__", "main"),
    ("keras.layers", "Nobody"),
    (None, "Nobody"),
    ("evil", "Evil"),
    (7, ["a"]),
)


class Pickled:
    def __reduce__(self):
        return exec, (f"open({CANARY!r}, 'w')",)


def write_whole(path):
    """Save a small model as Keras does."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(inputs))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    model = keras.Model(
        inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    )
    model.save(path)


def mutated(seed, index, data):
    """The bytes of model file `index`: the whole one, `data`, or one that one to three mutations
    went over.
    """
    rng = np.random.default_rng([seed, index])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    for _ in range(rng.integers(4)):
        members = SLIPPED[rng.integers(len(SLIPPED))](rng, members)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a name twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name) if isinstance(name, str) else name, content)
    data = bytearray(packed.getvalue())
    kind = rng.integers(12)
    if kind == 0:
        data = data[: rng.integers(len(data))]
    elif kind == 1:
        for _ in range(rng.integers(1, 20)):
            data[-rng.integers(1, len(data) if rng.random() < 0.5 else 300)] = rng.integers(256)
    elif kind == 2:  # no archive at all
        data = (b"", b"hello", pickle.dumps(Pickled()), dict(members).get("model.weights.h5", b""))[
            rng.integers(4)
        ]
    return bytes(data)


def in_config(change):
    """What changes the model's description, as members."""

    def mutate(rng, members):
        found = []
        for name, content in members:
            if name == "config.json":
                try:
                    content = json.dumps(change(rng, json.loads(content))).encode()
                except (ValueError, KeyError, TypeError, IndexError, RecursionError):
                    pass  # after an earlier mutation
            found.append((name, content))
        return found

    return mutate


def places(node, found=None):
    """[(container, key)] of everything in a tree of JSON."""
    found = [] if found is None else found
    for key in (
        range(len(node)) if isinstance(node, list) else node if isinstance(node, dict) else ()
    ):
        found.append((node, key))
        places(node[key], found)
    return found


def lying(rng, config):
    """Some numbers are others: shapes, sizes, counts."""
    numbers = [(node, key) for node, key in places(config) if isinstance(node[key], (int, float))]
    for at in rng.integers(len(numbers), size=rng.integers(1, 4)):
        node, key = numbers[at]
        node[key] = NUMBERS[rng.integers(len(NUMBERS))]
    return config


def disordered(rng, config):
    """Some of it is gone, something else or elsewhere."""
    for _ in range(rng.integers(1, 4)):
        every = places(config)
        node, key = every[rng.integers(len(every))]
        other, place = every[rng.integers(len(every))]
        kind = rng.integers(4)
        if kind == 0:
            del node[key]
        elif kind == 1:
            node[key] = NUMBERS[rng.integers(len(NUMBERS))]
        elif kind == 2:
            node[key] = json.loads(json.dumps(other[place]))
        else:
            nested = []
            for _ in range(int(rng.choice([10, 200, 900]))):
                nested = [nested]
            node[key] = nested
    return config


def unknown(rng, config):
    """A layer is of another class, perhaps one that does something, with arguments that would suit
    it.
    """
    layers = config["config"]["layers"]
    layer = layers[rng.integers(len(layers))]
    layer["module"], layer["class_name"] = FOREIGN[rng.integers(len(FOREIGN))]
    if rng.random() < 0.7:
        run = f"open({CANARY!r}, 'w')"
        layer["config"] = [
            {"args": [run]},
            {"source": run},
            {"command": f"touch {CANARY}"},
            {"vocabulary": "/etc/passwd", "name": "a"},
            {"fname": CANARY, "origin": "file:///etc/passwd"},
            {"filepath": "/tmp", "name": "a"},
            {"module": base64.b64encode(pickle.dumps(Pickled())).decode(), "name": "a"},
            [run],
            run,
        ][rng.integers(9)]
    return config


def wired(rng, config):
    """A layer stands in the place of another, or takes its input from itself, from one that is not
    there or twice.
    """
    layers = config["config"]["layers"]
    layer = layers[rng.integers(len(layers))]
    text = json.dumps(layer["inbound_nodes"])
    for name in [one["config"]["name"] for one in layers]:
        text = text.replace(
            json.dumps(name), json.dumps(layers[rng.integers(len(layers))]["config"]["name"])
        )
    layer["inbound_nodes"] = json.loads(text) * int(rng.integers(1, 3))
    return config


def lambda_layer(rng, config):
    """A layer runs code from the file."""
    code = compile(f"open({CANARY!r}, 'w')", "evil", "eval")
    function = {
        "class_name": "__lambda__",
        "config": {
            "code": base64.b64encode(marshal.dumps(code)).decode(),
            "defaults": None,
            "closure": None,
        },
    }
    layers = config["config"]["layers"]
    layer = layers[rng.integers(1, len(layers))]
    if rng.random() < 0.5:
        layer.update(
            module="keras.layers",
            class_name="Lambda",
            config={"name": layer["config"]["name"], "function": function},
        )
    else:
        layer["config"]["activation"] = function
    return config


def slipped(rng, members):
    """Another member, perhaps with a name that leads out or that is there already, or a link."""
    info = zipfile.ZipInfo(PLACES[rng.integers(len(PLACES))])
    if rng.random() < 0.3:
        info.external_attr = 0o120777 << 16
    evil = (b"evil", b"../../../../../tmp", pickle.dumps(Pickled()), bytes(3_000_000))[
        rng.integers(4)
    ]
    return [*members, (info, evil)] if rng.random() < 0.7 else [(info, evil), *members]


def missing(rng, members):
    return (
        [member for i, member in enumerate(members) if i != rng.integers(len(members))]
        if members
        else members
    )


def weights(rng, members):
    """Weights are a pickle, point to other files, claim to be large or are broken."""
    found = []
    for name, content in members:
        if name == "model.weights.h5":
            kind = rng.integers(6)
            if kind == 0:
                content = pickle.dumps(Pickled())
            elif kind == 1:
                name, packed = "model.weights.npz", io.BytesIO()
                np.savez(packed, **{"layers/conv2d/vars/0": np.array([Pickled()], dtype=object)})
                content = packed.getvalue()
            elif kind == 2:
                content = content[: rng.integers(len(content))]
            elif kind == 3:
                content = bytearray(content)
                for at in rng.integers(len(content), size=9):
                    content[at] = rng.integers(256)
                content = bytes(content)
            else:
                content = rewritten(rng, content)
        found.append((name, content))
    return found


def rewritten(rng, content):
    """The HDF5 file with one array replaced."""
    packed = io.BytesIO(content)
    try:
        with h5py.File(packed, "r+") as file:
            names = []
            file.visititems(
                lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
            )
            name = names[rng.integers(len(names))]
            del file[name]
            kind = rng.integers(4)
            if kind == 0:
                file[name] = h5py.ExternalLink("/etc/passwd", "/")
            elif kind == 1:
                file.create_dataset(name, (1 << 20, 1 << 20), "f8", chunks=(1 << 10, 1 << 10))
            elif kind == 2:
                file.create_dataset(name, (4, 4), "u1", external=[("/etc/passwd", 0, 16)])
            else:
                file.create_dataset(
                    name, data=rng.normal(size=rng.integers(1, 9, size=rng.integers(1, 5)))
                )
    except (OSError, ValueError, KeyError, RuntimeError):
        return content  # after an earlier mutation
    return packed.getvalue()


SLIPPED = (
    *map(in_config, (lying, lying, disordered, unknown, unknown, wired, lambda_layer)),
    slipped,
    slipped,
    missing,
    weights,
    weights,
)
