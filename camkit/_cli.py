"""The shell's way in: python -m camkit analyze MODEL IMAGES --out DIR, then atlas DIR and faults DIR; lessons DIR."""

import argparse
import functools
import importlib
import os
import re
import sys
import webbrowser
from contextlib import nullcontext
from pathlib import Path

import camkit
from camkit._quiet import held_back
from camkit._resources import carried

METHODS = [
    "grad_cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "layer_cam",
    "eigen_cam",
    "score_cam",
    "ablation_cam",
]


def load_model(file, modules, trust):
    """The Keras model in a file; ValueError says what to pass where Keras does not load it as it is."""
    import keras

    for name in modules:
        importlib.import_module(name)
    if not Path(file).is_file():
        raise ValueError(
            f"there is no model file {file}: name one that model.save() has written, such as model.keras"
        )
    try:
        with held_back(drop=True):  # TensorFlow's own words: what is raised says it
            return keras.models.load_model(file, compile=False, safe_mode=not trust)
    except Exception as error:
        said = str(error)
        if "Lambda" in said and not trust:
            said = "it holds a Lambda layer, which runs code from the file: pass --trust if you know who made it"
        elif re.match("File (not found|format not supported)", said):  # of one that is there
            said = "it is no .keras file"
        elif "No model config" in said:
            said = "it holds weights alone: load them into their model, and keep that with model.save('model.keras')"
        elif found := re.search(r"Could not locate class '([^']+)'", said):
            said = (
                f"it needs the class {found[1]}: pass --import MODULE, the module that registers it"
            )
        else:
            said = f"{brief(error)}; if it is whole, keep it anew with this Keras and model.save('model.keras')"
        raise ValueError(f"{file} cannot be loaded: {said}") from error


def brief(error):
    """An error of Keras or TensorFlow in one line: the last cause that it names, without traceback and arguments."""
    said = (
        str(error)
        .rpartition("Exception encountered")[2]
        .partition("Arguments received")[0]
        .lstrip(": ")
    )
    said = " ".join(re.sub("\x1b.*?m", "", said).split())  # without colours
    return f"{type(error).__name__}: {said[:300]}"


def analyze(options):
    names = options.names and Path(options.names).read_text(encoding="utf-8-sig").splitlines()
    method = options.method and getattr(camkit, options.method)
    if options.layer:
        method = functools.partial(method or camkit.grad_cam, layer=options.layer)
    if options.engine:
        from camkit.analysis import ray as cluster
    elif options.address:
        raise ValueError(
            f"--address {options.address} is that of a Ray cluster: pass --engine ray too"
        )
    model = load_model(options.model, options.modules, options.trust)
    images = camkit.load_images(options.images, None if options.split == "all" else options.split)
    for path, reason in images.skipped:
        print(f"set aside: {path}: {reason}", file=sys.stderr)
    images = images.unlabelled() if options.unlabelled else images
    try:
        with cluster.connected(options.address) if options.engine else nullcontext():
            analysis = camkit.analyze(
                model,
                images,
                options.out,
                method=method,
                class_names=names,
                input_size=options.size,
                engine=options.engine,
            )
    except Exception as error:
        if isinstance(
            error, (ValueError, OSError, ImportError)
        ) and "Exception encountered" not in str(error):
            raise  # ours, with the remedy
        raise ValueError(f"{options.model} was loaded and does not run: {brief(error)}") from error
    right = (analysis.predicted == analysis.labels).mean()
    classes = len(images.class_names)
    told = f"of {classes} classes, {right:.1%} named rightly" if classes else "without labels"
    print(f"{len(analysis)} images {told}: {options.out}")


def analyses(options):
    """The analysis that is asked about, and its reference or None."""
    return camkit.load_analysis(options.folder), camkit.load_analysis(
        options.reference
    ) if options.reference else None


def atlas(options):
    analysis, reference = analyses(options)
    if not options.out and "://" in options.folder:
        raise ValueError(f"{options.folder} is no folder of this machine: pass --out PAGE")
    out = options.out or Path(options.folder) / "atlas"
    page = camkit.write_atlas(analysis, analysis.images, out, reference=reference)
    print(page)
    if options.open:
        webbrowser.open(page.resolve().as_uri())


def faults(options):
    found = camkit.data_faults(*analyses(options))
    if options.csv:
        found.to_csv(options.csv, index=False)
    elif len(found):
        root = os.path.commonpath(
            [os.path.dirname(path) for path in [*found["path"], *found["other"]]]
        )
        short = found[["path", "other"]].map(lambda path: os.path.relpath(path, root))
        print(f"in {root}:\n{short.join(found[['kind', 'reason']]).to_string(index=False)}")
    counts = ", ".join(
        f"{number} {kind}" for kind, number in found["kind"].value_counts(sort=False).items()
    )
    print(f"{len(found)} suspected ({counts})" + (f": {options.csv}" if options.csv else ""))


def lessons(options):
    """Laid out as a clone is, so that ../data and ../build are where the lessons look for them."""
    to, source = Path(options.folder) / "notebooks", carried("notebooks")
    site = [
        path
        for ending in ("py", "css", "j2", "js")
        for path in sorted(source.glob(f"site/*.{ending}"))
    ]
    files = [*sorted(source.glob("*.ipynb")), *site, source / "LICENSE"]
    targets = {path: to / path.relative_to(source) for path in files}
    targets[carried("data") / "planted.json"] = to.parent / "data" / "planted.json"
    for path, target in targets.items():
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(target.name + ".part")
            part.write_bytes(path.read_bytes())
            os.replace(part, target)
        elif target.read_bytes() != path.read_bytes():
            print(
                f"left as it is: {target}: it differs from camkit's, move it away for a new one",
                file=sys.stderr,
            )
    print(
        f"{len(list(source.glob('*.ipynb')))} lessons: jupyter lab {to}, or as pages: python {to / 'site'}"
    )


def parser():
    main = argparse.ArgumentParser(
        prog="python -m camkit", description="Class activation maps from the shell."
    )
    commands = main.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser(
        "analyze",
        help="run a model once over a folder of images and keep what it sees",
        usage="python -m camkit analyze MODEL IMAGES --out DIR [options]",
        description="Run a model once over a folder of images and keep features, class maps and "
        "scores. Stopped, it goes on where it was.",
    )
    one.add_argument("model", metavar="MODEL", help="a .keras file")
    one.add_argument(
        "images", metavar="IMAGES", help="a folder of class folders, Training and Test, or images"
    )
    one.add_argument(
        "--out", required=True, metavar="DIR", help="the folder that the analysis goes to"
    )
    one.add_argument(
        "--method",
        metavar="NAME",
        choices=METHODS,
        help="for models without a GAP head: grad_cam or another of camkit's",
    )
    one.add_argument("--layer", metavar="NAME", help="the layer that the method reads")
    one.add_argument(
        "--class-names",
        dest="names",
        metavar="FILE",
        help="the names of the model's outputs, one a line",
    )
    one.add_argument(
        "--unlabelled",
        action="store_true",
        help="the folders of IMAGES are no classes of the model",
    )
    one.add_argument(
        "--split",
        default="Test",
        choices=["Test", "Training", "Validation", "all"],
        metavar="SPLIT",
        help="Test (default), Training, Validation or all",
    )
    one.add_argument(
        "--size", type=int, metavar="PIXELS", help="input size, for models that take any"
    )
    one.add_argument(
        "--engine", choices=["ray"], help="on a Ray cluster or all cores; needs camkit[cluster]"
    )
    one.add_argument(
        "--address", metavar="HOST:PORT", help="of the cluster; its machines all see IMAGES and DIR"
    )
    one.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module that registers the model's own layers",
    )
    one.add_argument(
        "--trust", action="store_true", help="allow code inside the model file (Lambda layers)"
    )
    one.set_defaults(run=analyze)

    analysed = argparse.ArgumentParser(add_help=False)
    analysed.add_argument("folder", metavar="DIR", help="a folder that `analyze` has filled")
    analysed.add_argument(
        "--reference", metavar="DIR", help="the analysis of another split, such as the training set"
    )

    two = commands.add_parser(
        "atlas",
        help="write the error atlas of an analysis: a page that opens from disk",
        parents=[analysed],
        description="Write the error atlas of an analysis: a folder with index.html, which "
        "opens by a double click and needs no network.",
    )
    two.add_argument(
        "--out", metavar="PAGE", help="the folder that the page goes to (default: DIR/atlas)"
    )
    two.add_argument("--open", action="store_true", help="open the page in the browser")
    two.set_defaults(run=atlas)

    three = commands.add_parser(
        "faults",
        help="list what is wrong with the data of an analysis",
        parents=[analysed],
        description="List copies, wrong labels, grounds that give a class away, twins and "
        "strangers, worst first.",
    )
    three.add_argument("--csv", metavar="FILE", help="write the table to a file")
    three.set_defaults(run=faults)

    four = commands.add_parser(
        "lessons",
        help="copy the lessons to a folder of your own",
        description="Copy the lessons to DIR/notebooks. Files that are there and differ are "
        "left as they are. What the lessons keep goes to DIR/build.",
    )
    four.add_argument("folder", metavar="DIR", help="the folder that the lessons go to")
    four.set_defaults(run=lessons)
    return main


def main(arguments=None):
    """Run a command: 0 if it worked, 1 with one line of error for what the user must mend; argparse leaves with 2."""
    options = parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0
