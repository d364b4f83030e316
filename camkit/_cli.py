"""The shell command `camkit`: analyze images, write pages, list faults, compare, judge."""

import argparse
import functools
import inspect
import json
import os
import sys
import warnings
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import camkit
from camkit._quiet import brief
from camkit._resources import carried
from camkit.analysis._label_sets import micro_f1

if TYPE_CHECKING:
    import pandas as pd

_METHODS = (
    "grad_cam",
    "grad_cam_plus_plus",
    "hires_cam",
    "layer_cam",
    "eigen_cam",
    "score_cam",
    "ablation_cam",
    "occlusion",
    "integrated_gradients",
    "attention_rollout",
    "legrad",
)

# The names of `camkit.export.FORMATS`, which the help shows without loading them.
_FORMATS = ("parquet", "cleanlab", "coco", "yolo", "label-studio", "fiftyone")

# The number of class names that are shown.
_MOST_NAMES = 12

# The exit code after Ctrl-C: 128 and the number of the signal SIGINT.
_STOPPED = 130

# The exit code when nobody reads on, as in `camkit ... | head`: 128 and the number of SIGPIPE.
_UNREAD = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of the shell.

    Args:
        arguments: The words after `camkit`; None for those of this process.

    Returns:
        0 on success, 1 after an error, which is printed in one line that says what to do, 130 after
        Ctrl-C, and 141 when nobody reads on what is printed, as in `camkit ... | head`. Wrong usage
        ends the process with 2 and nothing on standard output; without a command the help is
        printed. With --json, standard output is otherwise one JSON object, and everything else is
        printed on standard error. The object has "command", "exit_code", "error" (the line, or
        null), and "result", whose entries are those that the function of the command returns. It is
        null after an error, unless that is a limit which was exceeded.
    """
    try:
        try:
            return _run(arguments)
        finally:
            # What is still to be printed, also by the help, which ends by SystemExit.
            sys.stdout.flush()
    except BrokenPipeError:
        # At its end, Python flushes standard output once more, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNREAD


def _run(arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code, as `main` says."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.exit(2, parser.format_help())
    exit_code = 0
    error_line = None
    result = None
    try:
        with redirect_stdout(sys.stderr) if options.json else nullcontext():
            result = options.run(options)
    except BrokenPipeError:
        raise
    except (ValueError, OSError, ImportError) as error:
        if isinstance(error, _LimitExceeded):
            result = error.result
        error_line = " ".join(str(error).split())
        print(f"error: {error_line}", file=sys.stderr)
        exit_code = 1
    except KeyboardInterrupt:
        error_line = options.when_stopped
        print(error_line, file=sys.stderr)
        exit_code = _STOPPED
    if options.json:
        told = {"command": options.command, "exit_code": exit_code, "error": error_line}
        print(json.dumps(told | {"result": result}, default=_plain))
    return exit_code


class _LimitExceeded(ValueError):
    """A command did what was asked, and what it found exceeds a limit that was set."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


def _plain(value: Any) -> Any:
    """Return a number of NumPy or a path in a type that JSON holds."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a table for JSON, with None where a value is missing."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


# analyze ------------------------------------------------------------------------------------------


def _analyze(options: argparse.Namespace) -> dict[str, Any]:
    """Analyze a folder of images and print how many the model classifies correctly.

    Returns "folder", "images" (their number), "classes" (their names), "matched_by", "correct" (the
    share of labelled images, or None), "errors" (their number) and "skipped" (paths and reasons).
    """
    class_names = _class_names(options.class_names) if options.class_names else None
    connection = _connection(options)
    model = _load_model(options)
    images = _load_images(options)
    try:
        with connection, _warnings_as_notes():
            analysis = camkit.analyze(
                model,
                images,
                options.out,
                method=_method(options),
                class_names=class_names,
                output=options.output,
                grid=options.grid,
                input_size=options.size,
                engine=options.engine,
            )
    except Exception as error:
        if _has_a_remedy(error):
            raise
        reason = brief(error)
        raise ValueError(f"{options.model} was loaded and does not run: {reason}") from error
    if analysis.matched_by == "order":
        print(_order_of_classes(analysis), file=sys.stderr)
    plural = "" if len(analysis) == 1 else "s"
    print(f"{len(analysis)} image{plural} {_summary(analysis, images)}: {options.out}")
    correct = analysis.table["correct"].dropna()
    return {
        "folder": options.out,
        "images": len(analysis),
        "classes": analysis.class_names,
        "matched_by": analysis.matched_by,
        "correct": float(correct.mean()) if len(correct) else None,
        "errors": len(analysis.errors),
        "skipped": [{"path": path, "reason": reason} for path, reason in images.skipped],
    }


def _load_model(options: argparse.Namespace) -> Any:
    """Return the model that the options name."""
    if options.modules:
        # The installed command does not look for modules in the working directory by itself.
        sys.path.append(os.getcwd())
    return camkit.models.load_model(options.model, modules=options.modules, trust=options.trust)


def _order_of_classes(analysis: "camkit.Analysis") -> str:
    """Return a line that says which folder was taken for which class, if only their order says."""
    names = analysis.class_names
    what = "labels" if analysis.has_label_sets else "folder names"
    shown = [f"{c} {name}" for c, name in enumerate(names[:_MOST_NAMES])]
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return (
        f"classes by the order of the {what}, since the model carries none: "
        f"{', '.join(shown)}{more} (--class-names FILE names them)"
    )


def _summary(analysis: "camkit.Analysis", images: "camkit.ImageSet") -> str:
    """Return how many classes the images have, and the share that is classified correctly."""
    if not images.class_names:
        return "without labels"
    labels = analysis.labels
    if analysis.has_label_sets:
        return f"of {len(images.class_names)} classes, {_scores_of_label_sets(analysis)}"
    first = 100 * (analysis.predicted == labels).mean()
    classes = f"of {len(images.class_names)} classes"
    if not analysis.is_multi_label:
        return f"{classes}, {first:.1f} % correct"
    rows = np.arange(len(labels))
    predicted = 100 * analysis.predicted_labels()[rows, labels].mean()
    return (
        f"{classes}, whose label has a probability of 0.5 or more in {predicted:.1f} % and the "
        f"highest in {first:.1f} %"
    )


def _scores_of_label_sets(analysis: "camkit.Analysis") -> str:
    """Return the mean average precision, micro F1 and the errors, where images have several labels.

    Classes that no image has are left out of the mean.
    """
    scores = analysis.per_class
    mean = scores["average_precision"].mean()
    missed, invented = analysis.table[["missed", "invented"]].sum()
    f1 = micro_f1(scores, missed, invented)
    return (
        f"several a picture: mean average precision {100 * mean:.1f} %, micro F1 {100 * f1:.1f} %, "
        f"{missed} labels missed and {invented} invented"
    )


def _class_names(file: str) -> list[str]:
    """Return the names in a file, one per line.

    The numbers of the outputs before them, as in labels.txt of Teachable Machine ("0 Apple",
    "1 Lime"), are dropped.
    """
    if not Path(file).is_file():
        raise ValueError(f"{file!r} is no file: --class-names takes one with a name on each line")
    names = Path(file).read_text(encoding="utf-8-sig").splitlines()
    unnumbered = []
    for number, name in enumerate(names):
        prefix, _, rest = name.partition(" ")
        if prefix != str(number) or not rest:
            return names
        unnumbered.append(rest)
    return unnumbered


def _method(options: argparse.Namespace) -> functools.partial | None:
    """Return the method that the options name, with its layer; None for CAM."""
    if options.method is None and options.layer is None:
        return None
    method = getattr(camkit, options.method or "grad_cam")
    if options.layer is None:
        return method
    return functools.partial(method, layer=options.layer)


def _grid(text: str) -> tuple[int, int]:
    """Return (height, width) of a grid that is written as 14x14."""
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH, such as 14x14")
    return int(height), int(width)


def _columns(text: str) -> tuple[str | None, str | list[str] | None]:
    """Return the column of paths and those of labels that are written as PATH,LABEL,LABEL,...

    What is left out is None.
    """
    path, *labels = text.split(",")
    if len(labels) > 1:
        return path or None, labels
    return path or None, labels[0] if labels else None


def _percentage(text: str) -> Fraction:
    """Return the share that is written as a percentage, such as 1% or 0.5%."""
    number = text.removesuffix("%")
    try:
        share = Fraction(number) / 100
    except (ValueError, ZeroDivisionError):
        share = Fraction(-1)
    if number == text or not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage from 0% to 100%, such as 1%")
    return share


def _connection(options: argparse.Namespace) -> AbstractContextManager:
    """Return the connection to the cluster that the options ask for, or one that does nothing."""
    if options.engine == "ray":
        from camkit.analysis import ray

        return ray.connected(options.address)
    if options.address:
        raise ValueError(
            f"--address {options.address} is that of a Ray cluster: pass --engine ray too"
        )
    return nullcontext()


def _load_images(options: argparse.Namespace) -> "camkit.ImageSet":
    """Return the images that the options name; report skipped files on standard error."""
    split = None if options.split == "all" else options.split
    path_column, label_column = options.columns
    images = camkit.load_images(
        options.images,
        split,
        classes=options.classes,
        path_column=path_column,
        label_column=label_column,
    )
    if options.read_as:
        _, _, shape = options.read_as.partition("-")
        images = images.read_as_keras(
            crop_to_aspect_ratio=shape == "crop", pad_to_aspect_ratio=shape == "pad"
        )
    for path, reason in images.skipped:
        print(f"skipped: {path}: {reason}", file=sys.stderr)
    for note in images.notes:
        print(f"note: {note}", file=sys.stderr)
    return images.unlabelled() if options.unlabelled else images


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Print what camkit warns of as notes on standard error, and other warnings as usual.

    They are printed before an error, too.
    """
    told: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as told:
            yield
    finally:
        for warning in told:
            if warning.category is UserWarning:
                print(f"note: {warning.message}", file=sys.stderr)
            else:
                warnings.showwarning(
                    warning.message, warning.category, warning.filename, warning.lineno
                )


def _has_a_remedy(error: Exception) -> bool:
    """Return whether an error comes from camkit, which says what to do, and not from Keras."""
    is_refusal = isinstance(error, ValueError | OSError | ImportError)
    return is_refusal and "Exception encountered" not in str(error)


# atlas and faults ---------------------------------------------------------------------------------


def _analyses(options: argparse.Namespace) -> "tuple[camkit.Analysis, camkit.Analysis | None]":
    """Return the analysis that the options name, and its reference or None."""
    analysis = camkit.load_analysis(options.folder)
    reference = None
    if options.reference:
        reference = camkit.load_analysis(options.reference)
    return analysis, reference


def _atlas(options: argparse.Namespace) -> dict[str, Any]:
    """Write the error atlas of an analysis, print its address, and open it if asked to.

    Returns "page", the path of index.html or of the one file.
    """
    analysis, reference = _analyses(options)
    if not options.out and "://" in options.folder:
        raise ValueError(f"{options.folder} is not a folder on this machine: pass --out PAGE")
    if options.validation:
        validation = camkit.load_analysis(options.validation)
        analysis = analysis.with_thresholds(validation.best_thresholds())
    default = Path(options.folder) / ("atlas.html" if options.single else "atlas")
    before = camkit.load_analysis(options.before) if options.before else None
    model = _load_model(options) if options.model else None
    with _warnings_as_notes():
        page = camkit.write_atlas(
            analysis,
            options.out or default,
            reference=reference,
            before=before,
            verdicts=options.verdicts,
            single=options.single,
            model=model,
        )
    return _shown_page(page, options)


def _shown_page(page: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Print the path of a page, open it if asked to, and return {"page": path}."""
    print(page)
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return {"page": page}


def _faults(options: argparse.Namespace) -> dict[str, Any]:
    """Print the suspected faults of an analysis or write them to a file; print their number.

    Returns "faults", the rows of the table, "counts" by kind, and "csv", the file or None.
    """
    analysis, reference = _analyses(options)
    faults = camkit.data_faults(analysis, reference, group=options.group)
    shown = faults
    if options.csv:
        Path(options.csv).parent.mkdir(parents=True, exist_ok=True)
        # With its mark, spreadsheets know the text as UTF-8.
        faults.to_csv(options.csv, index=False, encoding="utf-8-sig")
    elif len(faults):
        shown = _without_mirrored(faults)
        _print_table(shown)
    numbers = shown["kind"].value_counts(sort=False)
    numbers = numbers[numbers > 0]
    counts = ", ".join(f"{number} {kind}" for kind, number in numbers.items())
    summary = f"{len(shown)} suspected" + (f" ({counts})" if counts else "")
    print(f"{summary}: {options.csv}" if options.csv else summary)
    kinds = faults["kind"].value_counts(sort=False).to_dict()
    return {"faults": _rows(faults), "counts": kinds, "csv": options.csv}


def _compare(options: argparse.Namespace) -> dict[str, Any]:
    """Print what changed between two analyses; write a page and check a limit if asked to.

    Returns "images" (their number), "accuracy" with its entries, "counts" by change, "per_class"
    and "changed", rows of the tables; "notes", "only_before" and "only_after"; and "page", the path
    of index.html or None.
    """
    before = camkit.load_analysis(options.before)
    after = camkit.load_analysis(options.after)
    comparison = camkit.compare(before, after)
    print(comparison)
    page = None
    if options.out:
        page = camkit.write_atlas(after, options.out, before=before)
        print(page)
    [accuracy] = _rows(comparison.accuracy.to_frame().T)
    is_changed = comparison.table["before"] != comparison.table["after"]
    result = {
        "images": len(comparison),
        "accuracy": accuracy,
        "counts": comparison.counts.to_dict(),
        "per_class": _rows(comparison.per_class.reset_index()),
        "changed": _rows(comparison.table[is_changed]),
        "notes": comparison.notes,
        "only_before": comparison.only_before,
        "only_after": comparison.only_after,
        "page": page,
    }
    if options.fail_on_broken is not None:
        _check_broken(result, options.fail_on_broken)
    return result


def _check_broken(result: dict[str, Any], limit: Fraction) -> None:
    """Raise _LimitExceeded if more of the images with a label are broken than a limit allows."""
    broken = result["counts"]["broken"]
    labelled = int(result["accuracy"]["images"])
    if not labelled:
        raise ValueError("no image has a label, so that none can be broken: omit --fail-on-broken")
    if broken > limit * labelled:
        verb = "is" if broken == 1 else "are"
        percentage = Fraction(100 * broken, labelled)
        # Rounded, it must still be more than the limit.
        digits = 1
        while round(percentage, digits) <= 100 * limit:
            digits += 1
        remedy = "" if result["page"] else ": --out PAGE shows them"
        raise _LimitExceeded(
            f"{broken} of {labelled} images {verb} broken, {float(percentage):.{digits}f} %, and "
            f"--fail-on-broken allows {100 * float(limit):g} %{remedy}",
            result,
        )


def _export(options: argparse.Namespace) -> dict[str, Any]:
    """Write an analysis in the format of another program, and print the path.

    Returns "file" and "format".
    """
    analysis = camkit.load_analysis(options.folder)
    write = camkit.export.FORMATS[options.to]
    settings: dict[str, Any] = {}
    if options.of:
        _check_format(options.to, "--of", "of")
        settings["of"] = options.of
    if options.verdicts:
        _check_format(options.to, "--verdicts", "tags")
        settings["tags"] = camkit.load_verdicts(*options.verdicts).tags(analysis.paths)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    file = write(analysis, options.out, **settings)
    print(file)
    return {"file": file, "format": options.to}


def _check_format(name: str, option: str, parameter: str) -> None:
    """Raise ValueError if a format of other programs does not take an option of the shell."""
    taking = [
        each
        for each, write in camkit.export.FORMATS.items()
        if parameter in inspect.signature(write).parameters
    ]
    if name not in taking:
        raise ValueError(
            f"--to {name} takes no {option}, which is for {', '.join(taking)}: leave it out"
        )


def _without_mirrored(faults: "pd.DataFrame") -> "pd.DataFrame":
    """Return faults with one row for the two images of a pair of twins."""
    pair = faults[["path", "other"]].apply(frozenset, axis=1)
    is_twin = faults["kind"] == "twin"
    is_repeated = faults.assign(pair=pair).duplicated(["kind", "pair"])
    return faults[~(is_twin & is_repeated)]


def _print_table(faults: "pd.DataFrame") -> None:
    """Print faults as a table, with paths below the folder that all of them share."""
    # An image of poor quality is compared with no other one.
    paths = faults[["path", "other"]].fillna("")
    folders = [os.path.dirname(path) for path in paths.to_numpy().ravel() if path]
    root = os.path.commonpath(folders)
    short_paths = paths.map(lambda path: path and os.path.relpath(path, root))
    table = short_paths.join(faults[["kind", "reason"]])
    print(f"in {root}:")
    print(table.to_string(index=False))


# judge --------------------------------------------------------------------------------------------


def _judge(options: argparse.Namespace) -> dict[str, Any]:
    """Print which method and layer to trust for a model, with the table that tells.

    Returns "verdict" (the sentence), "method" and "layer" (to use, or None), "table" (its rows),
    "notes", "images" (the number that was judged by) and "csv" (the file or None).
    """
    model = _load_model(options)
    images = _load_images(options)
    count = min(len(images), options.count)
    chosen = np.linspace(0, len(images) - 1, count).astype(int)
    judged = camkit.judge(
        model,
        images.select(chosen),
        layers=options.layers,
        output=options.output,
        **({"methods": options.methods} if options.methods else {}),
    )
    for note in judged.notes:
        print(f"note: {note}", file=sys.stderr)
    if options.csv:
        Path(options.csv).parent.mkdir(parents=True, exist_ok=True)
        judged.table.to_csv(options.csv, index=False)
    else:
        print(judged.text)
    print(judged.verdict)
    return {
        "verdict": judged.verdict,
        "method": judged.method,
        "layer": judged.layer,
        "table": _rows(judged.table),
        "notes": judged.notes,
        "images": count,
        "csv": options.csv,
    }


# playground ---------------------------------------------------------------------------------------


def _playground(options: argparse.Namespace) -> dict[str, Any]:
    """Write a page in which a model runs, print its address, and open it if asked to.

    Returns "page", the path of index.html.
    """
    class_names = _class_names(options.class_names) if options.class_names else None
    images = None
    if options.images:
        # The first image of each class becomes an example.
        images = camkit.load_images(options.images, None)
    page = camkit.write_playground(
        _load_model(options),
        options.out,
        images,
        class_names=class_names,
        input_size=options.size,
    )
    return _shown_page(page, options)


# lessons ------------------------------------------------------------------------------------------


def _lessons(options: argparse.Namespace) -> dict[str, Any]:
    """Copy the lessons to a folder that is laid out like a clone.

    The lessons look for ../data and ../build. Returns "folder" and "lessons", their number.
    """
    root = Path(options.folder)
    source = carried("notebooks")
    target = root / "notebooks"
    lessons = sorted(source.glob("*.ipynb"))
    files = [*lessons, source / "LICENSE", source / "assignments/checks.py"]
    files += sorted(source.glob("*.py")) + sorted(source.glob("records/*.csv"))
    for ending in ("py", "css", "html", "j2", "js", "md"):
        files += sorted(source.glob(f"site/*.{ending}"))
    for file in files:
        _copy(file, target / file.relative_to(source))
    for name in ("planted.json", "mini-vit.keras"):
        _copy(carried("data") / name, root / "data" / name)
    print(f"{len(lessons)} lessons: jupyter lab {target}, or as pages: python {target / 'site'}")
    print("they need pip install 'camkit[lessons]', as pages 'camkit[site]'")
    return {"folder": target, "lessons": len(lessons)}


def _copy(file: Path, target: Path) -> None:
    """Copy a file, unless a different one exists, which is reported on standard error."""
    content = file.read_bytes()
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(target.name + ".part")
        unfinished.write_bytes(content)
        os.replace(unfinished, target)
    elif target.read_bytes() != content:
        print(
            f"left unchanged: {target} differs from camkit's; move it away to get a new one",
            file=sys.stderr,
        )


# The options --------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the shell command."""
    parser = argparse.ArgumentParser(
        prog="camkit",
        description="Class activation maps from the shell.",
        epilog="camkit COMMAND ... --json prints one JSON object on standard output.",
    )
    parser.add_argument("--version", action="version", version=f"camkit {camkit.__version__}")
    parser.set_defaults(run=None, when_stopped="stopped")
    commands = parser.add_subparsers(metavar="COMMAND", dest="command")
    _add_analyze(commands)
    analysed = _analysed_folder()
    _add_atlas(commands, analysed)
    _add_faults(commands, analysed)
    _add_compare(commands)
    _add_export(commands)
    _add_judge(commands)
    _add_playground(commands)
    _add_lessons(commands)
    for command in commands.choices.values():
        # The help of the program names it, since that of analyze is to fit a screen.
        command.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    return parser


def _add_analyze(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "analyze",
        help="run a model once over a folder of images and store the results",
        usage="camkit analyze MODEL IMAGES --out DIR [options]",
        description=("Run a model over images and store the results. If interrupted, repeat it."),
        add_help=False,
    )
    # Whoever reads the help knows how to ask for it; without its line, it fits a screen.
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    parser.add_argument("model", metavar="MODEL", help="a .keras or .h5 file of Keras 2 or 3")
    parser.add_argument(
        "images",
        metavar="IMAGES",
        help="a folder, a table or a .zip file of images",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder for the analysis")
    parser.add_argument(
        "--method",
        metavar="NAME",
        choices=_METHODS,
        help="grad_cam or another, for models without a GAP head",
    )
    parser.add_argument("--layer", metavar="NAME", help="the layer that the method reads")
    parser.add_argument(
        "--output", metavar="NAME", help="the output to explain, if there are several"
    )
    parser.add_argument(
        "--grid",
        type=_grid,
        metavar="HxW",
        help="grid of a transformer's tokens, such as 14x14",
    )
    parser.add_argument(
        "--class-names", metavar="FILE", help="the names of the model's outputs, one per line"
    )
    _add_reading(parser)
    parser.add_argument(
        "--size", type=int, metavar="PIXELS", help="input size, for models that accept any"
    )
    parser.add_argument(
        "--engine",
        choices=["ray"],
        metavar="ray",
        help="use all cores, or a cluster: --address HOST:PORT",
    )
    # Its place in the help is that of --engine, so that all options fit a screen.
    parser.add_argument("--address", metavar="HOST:PORT", help=argparse.SUPPRESS)
    _add_loading(parser)
    parser.set_defaults(run=_analyze, when_stopped="stopped: the same command continues")


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which images are read, and how."""
    parser.add_argument(
        "--unlabelled",
        action="store_true",
        help="the folders of IMAGES are not classes of the model",
    )
    parser.add_argument(
        "--split",
        default="Test",
        metavar="SPLIT",
        help="Test (default), Training, Validation, another, or all",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        action="extend",
        metavar=("A", "B"),
        help="load only these classes of IMAGES",
    )
    parser.add_argument(
        "--columns",
        type=_columns,
        default=(None, None),
        metavar="PATH,LABEL",
        help="columns of a table: of paths, then of labels",
    )
    parser.add_argument(
        "--read-as",
        choices=["keras", "keras-crop", "keras-pad"],
        metavar="WAY",
        help="keras, keras-crop or keras-pad: as Keras reads files",
    )


def _add_loading(parser: argparse.ArgumentParser) -> None:
    """Add the options for models with code of their own."""
    parser.add_argument(
        "--import",
        dest="modules",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module with the model's own layers and functions",
    )
    parser.add_argument(
        "--trust", action="store_true", help="allow code inside the model file (Lambda layers)"
    )


def _analysed_folder() -> argparse.ArgumentParser:
    """Return the options of the commands that read an analysis."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("folder", metavar="DIR", help="a folder that `analyze` has filled")
    parser.add_argument(
        "--reference", metavar="DIR", help="the analysis of another split, such as the training set"
    )
    return parser


def _add_atlas(commands: argparse._SubParsersAction, analysed: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "atlas",
        parents=[analysed],
        help="write the error atlas of an analysis: a page that opens from disk",
        description=(
            "Write the error atlas of an analysis: a folder with index.html or, by --single, one "
            "file. It opens with a double click and needs no network."
        ),
    )
    parser.add_argument(
        "--out", metavar="PAGE", help="the folder for the page (default: DIR/atlas)"
    )
    parser.add_argument(
        "--single",
        action="store_true",
        help="write one file for mail, of at most 18 MB (DIR/atlas.html)",
    )
    parser.add_argument(
        "--validation",
        metavar="DIR",
        help="for several labels a picture: take the thresholds of best F1 on this analysis",
    )
    parser.add_argument(
        "--verdicts", metavar="FILE", help="a CSV file of verdicts for the page to show"
    )
    parser.add_argument(
        "--before",
        metavar="DIR",
        help="the analysis of these images by another model, to compare",
    )
    parser.add_argument(
        "--model", metavar="MODEL", help="the model that was analysed, which then runs in the page"
    )
    _add_loading(parser)
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.set_defaults(run=_atlas)


def _add_faults(commands: argparse._SubParsersAction, analysed: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "faults",
        parents=[analysed],
        help="list suspected faults in the data of an analysis",
        description=(
            "List copies (also saved again, resized, mirrored or cropped), wrong labels with the "
            "one that is suggested, backgrounds that give a class away, twins (very similar "
            "images under two labels), classes that overlap, strangers (unlike all others) and "
            "images of poor quality, worst first."
        ),
    )
    parser.add_argument(
        "--group",
        metavar="COLUMN",
        help="list its values in both splits, such as patients",
    )
    parser.add_argument("--csv", metavar="FILE", help="write the table to a file")
    parser.set_defaults(run=_faults)


def _add_compare(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "compare",
        help="compare two analyses of the same images by two models",
        description=(
            "Say which images the second model mends and which it breaks, the difference in "
            "accuracy with its 95 % interval, and whether chance explains it (McNemar's exact "
            "test). Images are found by their content, classes by their names."
        ),
    )
    parser.add_argument("before", metavar="BEFORE", help="the analysis by the first model")
    parser.add_argument("after", metavar="AFTER", help="the analysis by the second one")
    parser.add_argument("--out", metavar="PAGE", help="write the error atlas of both to a folder")
    parser.add_argument(
        "--fail-on-broken",
        type=_percentage,
        metavar="SHARE",
        help="exit with 1 if more images are broken than this share, such as 1%%",
    )
    parser.set_defaults(run=_compare)


def _add_export(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "export",
        help="write an analysis in the format of another program",
        description=(
            "Write an analysis in the format of another program. coco, yolo, label-studio and "
            "fiftyone have boxes or maps, which a person can correct there. Spotlight and "
            "Embedding Atlas open Parquet."
        ),
    )
    parser.add_argument("folder", metavar="DIR", help="a folder that `analyze` has filled")
    parser.add_argument(
        "--to", required=True, metavar="FORMAT", choices=_FORMATS, help=", ".join(_FORMATS)
    )
    parser.add_argument(
        "--out", required=True, metavar="PATH", help="the file, or for several a new folder"
    )
    parser.add_argument(
        "--of",
        choices=["predicted", "true"],
        help="draw boxes of the predicted classes (default) or of the true ones",
    )
    parser.add_argument(
        "--verdicts",
        action="append",
        metavar="FILE",
        help="for fiftyone: verdicts that become tags",
    )
    parser.set_defaults(run=_export)


def _add_judge(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "judge",
        help="say which method and layer shows what a model uses, or that none does",
        usage="camkit judge MODEL IMAGES [options]",
        description=(
            "Judge methods at layers by measures with intervals, beside maps that know no model."
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="a .keras or .h5 file of Keras 2 or 3")
    parser.add_argument(
        "images", metavar="IMAGES", help="a folder, a table or a .zip file of images"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=_METHODS,
        metavar=("A", "B"),
        help="the methods (default: five that are fast)",
    )
    parser.add_argument(
        "--layers", nargs="+", metavar=("A", "B"), help="the layers (default: the last of 3 sizes)"
    )
    parser.add_argument(
        "--count", type=int, default=48, metavar="N", help="judge by so many images (default: 48)"
    )
    parser.add_argument("--csv", metavar="FILE", help="write the table to a file")
    parser.add_argument(
        "--output", metavar="NAME", help="the output to explain, if there are several"
    )
    _add_reading(parser)
    _add_loading(parser)
    parser.set_defaults(run=_judge)


def _add_playground(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "playground",
        help="write a page in which a model runs: drop a photograph, see the maps",
        description=(
            "Write a page in which the model itself runs: a folder with index.html, which opens "
            "with a double click and needs no network. It needs a GAP head."
        ),
    )
    parser.add_argument("model", metavar="MODEL", help="a .keras or .h5 file of Keras 2 or 3")
    parser.add_argument("--out", required=True, metavar="PAGE", help="the folder for the page")
    parser.add_argument(
        "--images",
        metavar="IMAGES",
        help="images, of which the first of each class become examples (default: fruits)",
    )
    parser.add_argument(
        "--class-names", metavar="FILE", help="the names of the model's outputs, one per line"
    )
    parser.add_argument(
        "--size", type=int, metavar="PIXELS", help="input size, for models that accept any"
    )
    _add_loading(parser)
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.set_defaults(run=_playground)


def _add_lessons(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "lessons",
        help="copy the lessons to a folder of your own",
        description=(
            "Copy the lessons to DIR/notebooks. Existing files that differ are left as they are. "
            "The lessons store their results in DIR/build."
        ),
    )
    parser.add_argument("folder", metavar="DIR", help="the folder for the lessons")
    parser.set_defaults(run=_lessons)
