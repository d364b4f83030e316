"""The error atlas in Python: what the view is given, verdicts, the pages that are written."""

import base64
import html
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_analyses import LABELS, NAMES, PREDICTED, analysis_of, image_set
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_info, threadpool_limits

import camkit
from camkit.atlas import _embedding, _encoding, _view, page, record, summary
from camkit.atlas.record import Record
from camkit.atlas.verdicts import COLUMNS, VERDICTS, PathMatcher, Verdicts, read_verdicts
from camkit.images.decoding import FileReader

RNG = np.random.default_rng(0)


@pytest.fixture
def images(tmp_path):
    return image_set(tmp_path / "pets")


@pytest.fixture
def analysis(images):
    return analysis_of(images)


def unpacked(data, cells):
    """Return {class: (logit, probability, map, step)} of packed maps, as packed.js reads them."""
    size = cells[0] * cells[1]
    count = len(data) // (20 + size)
    low, step, logits, probs = np.frombuffer(data[: 16 * count], "<f4").reshape(4, count)
    classes = np.frombuffer(data[16 * count : 20 * count], "<u4")
    maps = np.frombuffer(data[20 * count :], "uint8").reshape(count, *cells)
    return {
        int(c): (logits[m], probs[m], low[m] + step[m] * maps[m], step[m])
        for m, c in enumerate(classes)
    }


# --- what the view is given


def test_packed_maps_are_off_by_half_a_step_at_the_most(analysis, images):
    about, packed = Record(analysis).detail(4)
    found = unpacked(packed, (2, 4))
    assert sorted(found) == [0, 1, 2]
    for c, (logit, prob, heat, step) in found.items():
        true = analysis.maps[4, ..., c]
        assert step == pytest.approx(np.ptp(true) / 255)
        assert np.abs(heat - true).max() <= step / 2 + 1e-6
        assert (logit, prob) == (analysis.logits[4, c], analysis.probs[4, c])
    assert about["about"] == {
        "name": "Bee/4.png",
        "path": str(images.paths[4]),
        "split": "",
        "label": 1,
        "predicted": 0,
        "confidence": pytest.approx(analysis.probs[4, 0], abs=1e-4),
        "margin": -5.0,
        "high": pytest.approx(analysis.maps[4].max(), abs=1e-4),
    }


def test_a_map_of_one_value_is_kept_exactly():
    found = unpacked(
        _encoding.pack([7], [1.0], [0.5], np.full((2, 2, 1), -3.25, "float32")), (2, 2)
    )
    assert (found[7][2] == -3.25).all() and found[7][3] == 0


def test_without_every_class_the_true_one_and_the_top_five_stay(tmp_path):
    names = [f"class {c}" for c in range(9)]
    images = image_set(tmp_path / "nine", np.arange(9), names)
    analysis = analysis_of(images, predicted=np.zeros(9, int), names=names)
    analysis.probs[8] = [0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.05, 0.03, 0.02]
    _, packed = Record(analysis).detail(8, all_classes=False)
    assert sorted(unpacked(packed, (2, 4))) == [0, 1, 2, 3, 4, 8]


def test_nearest_pictures_are_those_of_the_reference_or_the_others(analysis, images, tmp_path):
    others = image_set(tmp_path / "train", np.tile(LABELS, 2))
    known = analysis_of(others, predicted=np.tile(PREDICTED, 2))
    gap = np.concatenate([analysis.gap, known.gap])
    z = (gap - gap.mean(axis=0)) / (gap.std(axis=0) + 0.01 * gap.std())
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    cosine = z[:8] @ z[8:].T
    found, likeness = Record(analysis, known).neighbours
    assert (found == 8 + np.argsort(-cosine, axis=1)[:, :5]).all()
    assert likeness == pytest.approx(-np.sort(-cosine, axis=1)[:, :5], abs=1e-5)
    near = Record(analysis, known).detail(3)[0]["near"]
    assert near[0] == {
        "i": int(found[3, 0]),
        "likeness": pytest.approx(likeness[3, 0], abs=1e-3),
        "label": int(known.labels[found[3, 0] - 8]),
        "name": "/".join(Path(known.paths[found[3, 0] - 8]).parts[-2:]),
    }

    alone, _ = Record(analysis).neighbours
    assert alone.shape == (8, 5) and not (alone == np.arange(8)[:, None]).any(), "never itself"


def test_a_picture_is_not_its_own_neighbour_though_copies_stand_beside_it(analysis, images):
    analysis.gap[:] = analysis.gap[0]
    analysis.gap[7] += 1
    found, _ = Record(analysis).neighbours
    assert found.shape == (8, 5) and not (found == np.arange(8)[:, None]).any()


def test_the_map_of_features_may_be_given(analysis):
    points = np.column_stack([np.linspace(-30, 50, 8), np.linspace(2, 6, 8)])
    placed = Record(analysis, points=points).map_points()
    one_scale = "one scale for both axes, the shorter one in the middle"
    assert placed[0] == [0.0, 0.475] and placed[7] == [1.0, 0.525], one_scale
    with pytest.raises(ValueError, match=r"shape \(7, 2\).*8 images: .*shape \(8, 2\)"):
        Record(analysis, points=points[:7])


def test_fewer_than_ten_images_have_no_map_of_features(analysis):
    assert Record(analysis).map_points() is None


@pytest.mark.parametrize("library", ["openTSNE", "scikit-learn"])
def test_the_map_of_features_keeps_two_heaps_apart(tmp_path, monkeypatch, library):
    if library == "openTSNE":
        pytest.importorskip("openTSNE", reason="needs openTSNE: pip install 'camkit[lessons]'")
    else:
        # None in place of a module is an ImportError.
        monkeypatch.setitem(sys.modules, "openTSNE", None)
    images = image_set(tmp_path / "many", np.repeat([0, 1], 20))
    analysis = analysis_of(images, predicted=np.repeat([0, 1], 20))
    analysis.gap[20:] += 50
    points = np.array(Record(analysis).map_points())
    assert points.shape == (40, 2)
    assert points.min() == 0 and points.max() == 1
    distances = [np.linalg.norm(points - heap.mean(axis=0), axis=1) for heap in np.split(points, 2)]
    assert ((distances[0] < distances[1]) == (np.arange(40) < 20)).all()


@pytest.mark.parametrize("library", ["openTSNE", "scikit-learn"])
def test_of_too_many_images_some_are_drawn_for_the_map(monkeypatch, library):
    if library == "openTSNE":
        pytest.importorskip("openTSNE", reason="needs openTSNE: pip install 'camkit[lessons]'")
        monkeypatch.setattr(_embedding, "POINTS", 12)
    else:
        monkeypatch.setitem(sys.modules, "openTSNE", None)
        monkeypatch.setattr(_embedding, "POINTS_WITHOUT_OPENTSNE", 12)
    features = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    points = _embedding.embed(features)
    assert len(points) == 12 and list(points) == sorted(points) and max(points) < 30


def test_the_map_and_the_clusters_are_computed_in_one_thread(monkeypatch):
    """Whatever was imported before camkit, and however many threads were allowed."""
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    seen = []

    def threads():
        pools = threadpool_info()
        return [pool["num_threads"] for pool in pools if pool["user_api"] == "openmp"]

    def spy(method):
        def spied(*arguments, **keywords):
            seen.append(max(threads()))
            return method(*arguments, **keywords)

        return spied

    monkeypatch.setattr(TSNE, "fit_transform", spy(TSNE.fit_transform))
    monkeypatch.setattr(KMeans, "fit_predict", spy(KMeans.fit_predict))
    features = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    with threadpool_limits(2, user_api="openmp"):
        _embedding.embed(features)
        _embedding.cluster(features)
        assert max(threads()) == 2
    assert len(seen) > 2 and set(seen) == {1}


def test_pictures_without_labels_have_clusters_in_place_of_errors(tmp_path):
    images = image_set(tmp_path / "heaps", np.repeat([0, 1], 20))
    analysis = analysis_of(images, predicted=np.repeat([0, 1], 20))
    analysis.gap[20:] += 50
    analysis.labels = np.full(40, -1)
    index = Record(analysis).index()
    assert "pairs" not in index["panels"] and index["summary"]["bins"] is None
    assert index["summary"]["lines"][0] == "40 pictures without labels"
    first, second = index["clusters"][:20], index["clusters"][20:]
    assert len({*first}) == len({*second}) == 1 and first != second


def test_what_does_not_belong_together_is_refused(analysis, images, tmp_path):
    with pytest.raises(ValueError, match="holds 8 images and the image set 7"):
        camkit.error_atlas(analysis, images.select(slice(7)))
    with pytest.raises(ValueError, match="not all the same"):
        camkit.write_atlas(analysis, images.select(np.arange(8)[::-1]), tmp_path / "page")
    other = analysis_of(images, names=["Ant", "Bee", "Dog"])
    with pytest.raises(ValueError, match="other classes or features"):
        camkit.write_atlas(analysis, images, tmp_path / "page", reference=other)
    with pytest.raises(ValueError, match="no panel \\['maps'\\]: choose from summary, pairs"):
        camkit.error_atlas(analysis, panels=["maps"])
    assert not (tmp_path / "page").exists()


def test_arguments_of_another_kind_are_refused_with_the_way_out(analysis, images, tmp_path):
    with pytest.raises(
        TypeError, match=r"no folder to write to: call write_atlas\(analysis, folder"
    ):
        camkit.write_atlas(analysis)
    with pytest.raises(TypeError, match="no folder"):
        camkit.write_atlas(analysis, images)
    with pytest.raises(TypeError, match="images must be the ImageSet .* not a str"):
        camkit.write_atlas(analysis, "pets", tmp_path / "page")
    with pytest.raises(TypeError, match="images must be the ImageSet .* not a str"):
        camkit.error_atlas(analysis, "verdicts.csv")
    assert not (tmp_path / "page").exists()


# --- without optional packages

OPTIONAL = ["anywidget", "ipywidgets", "traitlets", "openTSNE"]
WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({OPTIONAL}))  # None in place of a module is an ImportError
from pathlib import Path
import camkit
from made_analyses import LABELS, analysis_of, image_set
images = image_set(Path(sys.argv[1], "pets"), [*LABELS, *LABELS])
analysis = analysis_of(images, predicted=images.labels)
print(camkit.write_atlas(analysis, Path(sys.argv[1], "page")).read_text(encoding="utf-8")[:15])
try:
    camkit.error_atlas(analysis)
except ImportError as error:
    print(error)
"""


def test_without_optional_packages_a_page_is_written_and_a_notebook_gets_one_line(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WITHOUT, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    page, error = done.stdout.splitlines()
    assert page == "<!doctype html>"
    assert error.startswith("error_atlas needs anywidget: pip install 'camkit[notebook]'")


# --- the view as text


def test_the_modules_of_the_view_are_joined_in_order():
    script = _view.joined("notebook.js")
    assert not re.search(r"^import ", script, re.M)
    assert re.findall(r"^export .*", script, re.M) == ["export default { render };"]
    declared = [match[2] for match in _view.DECLARATION.findall(script)]
    assert len(declared) == len(set(declared)) and declared[-1] == "render"
    assert script.index("class Board") < script.index("class Matrix") < script.index("class Atlas")


def modules(folder, **sources):
    for name, source in sources.items():
        (folder / f"{name}.js").write_text(source)
    return folder


def test_joined_modules_lose_imports_and_the_word_export_alone(tmp_path):
    folder = modules(
        tmp_path,
        main='import {\n  one,\n  two,\n} from "./parts.js";\none(two); // export nothing\n',
        parts="export const two = 2;\nexport async function one() {}\n",
    )
    assert _view.joined("main.js", folder) == (
        "const two = 2;\nasync function one() {}\n\none(two); // export nothing\n"
    )


def test_modules_that_cannot_be_joined_are_refused(tmp_path):
    folder = modules(
        tmp_path,
        twice='import { a } from "./a.js";\nconst a = 1;\n',
        a="export const a = 2;\n",
        renamed='import * as b from "./a.js";\n',
        list="const a = 1;\nexport { a };\n",
        round='import { b } from "./about.js";\n',
        about='import { c } from "./round.js";\n',
    )
    with pytest.raises(ValueError, match=r"a\.js and twice\.js both declare a"):
        _view.joined("twice.js", folder)
    for name in ("renamed.js", "list.js"):
        with pytest.raises(ValueError, match=f"{name} has a line that cannot be joined"):
            _view.joined(name, folder)
    with pytest.raises(ValueError, match="circle: round.js → about.js → round.js"):
        _view.joined("round.js", folder)


# --- the summary


def test_calibration_by_hand():
    confidence, right = (
        np.array([0.65, 0.70, 0.95, 0.95, 1.0]),
        np.array([True, False, True, True, False]),
    )
    error, bins = summary.calibration(confidence, right)
    assert [(b["low"], b["n"]) for b in bins] == [(pytest.approx(0.6), 2), (pytest.approx(0.9), 3)]
    assert [b["accuracy"] for b in bins] == [0.5, pytest.approx(2 / 3)]
    assert error == pytest.approx(2 / 5 * abs(0.5 - 0.675) + 3 / 5 * abs(2 / 3 - 2.9 / 3))


def test_summary_states_accuracy_classes_and_faults(analysis, images):
    result = Record(analysis).index()["summary"]
    assert result["lines"][0] == "37.5 % correct" and "5 of 8 pictures" in result["lines"][1]
    assert "between 13.7 % and 69.4 %" in result["lines"][1], "Wilson's interval of 3 in 8"
    classes = [
        (NAMES[row["class"]], row["n"], row["recall"], row["precision"])
        for row in result["classes"]
    ]
    assert classes == [
        ("Ant", 3, pytest.approx(1 / 3), 0.5),
        ("Cat", 3, pytest.approx(1 / 3), 1.0),
        ("Bee", 2, 0.5, 0.2),
    ]


def test_faults_lead_to_their_pictures(tmp_path):
    images = image_set(tmp_path / "pets")
    copied = Path(images.paths[0])
    (tmp_path / "pets" / "Cat" / "9.png").write_bytes(copied.read_bytes())
    images = camkit.load_images(tmp_path / "pets", None)
    analysis = analysis_of(images, predicted=images.labels)
    analysis.gap[8] = analysis.gap[0]
    faults = Record(analysis).index()["summary"]["faults"]
    copies = next(kind for kind in faults if kind["kind"] == "copy")
    [row] = copies["rows"]
    assert {row["i"], row["other"]} == {0, 8}
    assert row["name"] in ("Cat/9.png", "Ant/0.png") and " labelled " in row["reason"]


def test_faults_say_the_split_of_both_images_in_the_summary_and_in_the_table(tmp_path):
    sets = [image_set(tmp_path / "pets" / split) for split in ("Train", "Test")]
    training, test = (camkit.load_images(tmp_path / "pets", split) for split in ("Train", "Test"))
    assert len(sets[0]) == len(training)
    analysis = analysis_of(test, predicted=test.labels)
    reference = analysis_of(training, predicted=training.labels)
    recorded = Record(analysis, reference)
    index = recorded.index()
    rows = index["summary"]["faults"][0]["rows"]
    assert {(row["split"], row["otherSplit"]) for row in rows} == {("test", "training")}
    # The view knows the images of the reference by their numbers.
    of_reference = {row["other"] for row in rows}
    others = {other["i"]: other for other in index["others"]}
    assert of_reference and of_reference <= set(others)
    assert others[8]["path"] == str(training.paths[0]) and others[8]["split"] == "training"
    table = recorded.faults_with_splits
    assert list(table.columns[-2:]) == ["split", "other_split"]
    assert (table["other_split"] == "training").sum() >= len(rows) > 0


def test_the_class_that_is_suggested_is_given_to_the_view():
    fault = {"path": "Ant/1.png", "kind": "label", "reason": "", "score": 1.0, "other": "Bee/2.png"}
    other = fault | {"path": "Bee/2.png", "other": None, "suggestion": None}
    table = pd.DataFrame([fault | {"suggestion": "Bee", "probability": 0.9}, other])
    [kind] = summary._list_faults(table, {"Ant/1.png": 0, "Bee/2.png": 1})
    rows = [(row["i"], row["other"], row["suggestion"]) for row in kind["rows"]]
    assert rows == [(0, 1, "Bee"), (1, None, "")]


def test_splits_without_a_folder_are_those_of_the_two_analyses(analysis, images, tmp_path):
    others = image_set(tmp_path / "known")
    recorded = Record(analysis, analysis_of(others))
    assert [recorded.split(0), recorded.split(8)] == ["analysed", "reference"]
    assert Record(analysis).split(0) == ""


def test_metadata_are_given_as_numbers_or_as_texts_by_their_position(analysis):
    analysis.metadata = pd.DataFrame(
        {
            "year": [2020, 2021, None, 2020, 2022, 2020, 2020, 2020],
            "camera": ["b", "a", None, "b", "b", "b", "b", "a"],
            "flash": [True, False] * 4,
        }
    )
    year, camera, flash = Record(analysis, panels=["review"]).index()["metadata"]
    assert year == {"name": "year", "numbers": [2020, 2021, None, 2022 - 2, 2022, 2020, 2020, 2020]}
    assert camera == {"name": "camera", "values": ["", "a", "b"], "codes": [2, 1, 0, 2, 2, 2, 2, 1]}
    assert flash == {"name": "flash", "values": ["False", "True"], "codes": [1, 0] * 4}


def test_a_slice_that_errs_more_is_in_the_summary_with_its_images(tmp_path):
    labels = np.repeat([0, 1], 20)
    images = image_set(tmp_path / "pets", labels)
    predicted = labels.copy()
    predicted[:10] = 2
    analysis = analysis_of(images, predicted=predicted)
    analysis.metadata = pd.DataFrame({"camera": ["old"] * 12 + ["new"] * 28})
    [first, *_] = Record(analysis, panels=["summary"]).index()["summary"]["slices"]
    assert (first["name"], first["size"], first["errors"]) == ("camera = old", 12, 10)
    assert (first["share"], first["rest"]) == (pytest.approx(10 / 12), 0)
    assert first["images"] == list(range(12)) and first["p"] < 0.001


# --- verdicts


def verdict_row(path="a.jpg", verdict="label wrong", comment="", reviewer=""):
    return {
        "path": path,
        "true": "Ant",
        "predicted": "Bee",
        "verdict": verdict,
        "comment": comment,
        "reviewer": reviewer,
        "correct_label": "",
    }


def test_verdicts_survive_a_restart_with_the_rows_and_columns_of_others(tmp_path):
    file = tmp_path / "new" / "verdicts.csv"
    file.parent.mkdir()
    file.write_text("path,true,predicted,verdict,priority\nz.jpg,Cat,Ant,other,high\n")
    assert Verdicts(file).save(verdict_row(comment='says "no", twice\nand more')) == (
        True,
        verdict_row(comment='says "no", twice\nand more'),
    )
    table = Verdicts(file).read()
    assert table.loc[("a.jpg", ""), "comment"] == 'says "no", twice\nand more'
    assert list(table.loc[("z.jpg", "")][["verdict", "priority"]]) == ["other", "high"]
    assert pd.read_csv(file).columns.tolist() == [
        "path",
        "true",
        "predicted",
        "verdict",
        "comment",
        "reviewer",
        "correct_label",
        "priority",
    ]


def test_a_change_made_elsewhere_is_shown_and_not_overwritten(tmp_path):
    file = tmp_path / "verdicts.csv"
    mine, other = Verdicts(file), Verdicts(file)
    first = verdict_row()
    assert mine.save(first)[0]
    second = verdict_row(verdict="ambiguous", comment="look again")
    assert other.save(second, seen=first) == (True, second)
    third = verdict_row(verdict="background")
    assert mine.save(third, seen=first) == (
        False,
        {**third, "verdict": "ambiguous", "comment": "look again"},
    )
    assert mine.read().loc[("a.jpg", ""), "verdict"] == "ambiguous"
    assert mine.save(third, seen=second)[0], "once it has been seen it may be changed"


def test_reviewers_do_not_meet(tmp_path):
    file = tmp_path / "verdicts.csv"
    assert Verdicts(file).save(verdict_row(reviewer="one"))[0]
    assert Verdicts(file).save(verdict_row(reviewer="two", verdict="other"))[0]
    assert Verdicts(file).read()["verdict"].to_dict() == {
        ("a.jpg", "one"): "label wrong",
        ("a.jpg", "two"): "other",
    }


def test_several_verdicts_are_saved_at_once_each_by_what_was_seen_of_it(tmp_path):
    file = tmp_path / "verdicts.csv"
    first = verdict_row(reviewer="Kim") | {"correct_label": "Bee"}
    other = verdict_row("b.jpg", reviewer="Kim")
    assert Verdicts(file).save_all([(first, None), (other, None)]) == [(True, first), (True, other)]
    changed = first | {"correct_label": "Wasp"}
    answers = Verdicts(file).save_all([(changed, first), (other | {"verdict": "other"}, None)])
    assert answers == [(True, changed), (False, other)]
    stored = Verdicts(file).read()["correct_label"]
    assert stored.to_dict() == {("a.jpg", "Kim"): "Wasp", ("b.jpg", "Kim"): ""}


@pytest.mark.parametrize("name", [None, "verdicts.csv"])
def test_verdicts_without_a_name_move_to_the_name_unless_it_has_its_own(tmp_path, name):
    verdicts = Verdicts(name and tmp_path / name)
    for path in ("a.jpg", "b.jpg", "c.jpg"):
        verdicts.save(verdict_row(path))
    verdicts.save(verdict_row("b.jpg", "other", reviewer="Kim"))
    assert verdicts.rename(["a.jpg", "b.jpg", "z.jpg"], "", "Kim") == ["a.jpg"]
    assert verdicts.read()["verdict"].to_dict() == {
        ("a.jpg", "Kim"): "label wrong",
        ("b.jpg", ""): "label wrong",
        ("c.jpg", ""): "label wrong",
        ("b.jpg", "Kim"): "other",
    }


def test_a_path_of_another_machine_is_matched_by_the_ending_that_one_image_has():
    paths = [
        f"/data/{split}/{name}" for split in ("Test", "More") for name in ("A/1.jpg", "B/1.jpg")
    ]
    matcher = PathMatcher([*paths, "/data/Test/Äpfel/2.jpg", "/data/Test/Äpfel/2.jpg"])
    assert matcher.find("/data/More/A/1.jpg") == 2
    assert matcher.find("/disk/kim/fruit/More/A/1.jpg") == 2
    assert matcher.find("D:\\fruit\\Test\\B\\1.jpg") == 1
    assert matcher.find("./A\u0308pfel/2.jpg") == 4, "the first of equal paths, letters composed"
    assert matcher.find("2.jpg") == 4, "the whole of a relative path"
    assert matcher.find("A/1.jpg") is None, "in two folders"
    assert matcher.find("/disk/kim/2.jpg") is None, "the file's name alone"
    assert matcher.find("/disk/kim/Training/Äpfel/2.jpg") is None, "another split"


def test_a_table_of_verdicts_may_come_from_pandas_and_lack_what_is_new():
    table = pd.DataFrame([verdict_row(reviewer="Kim")]).drop(columns="correct_label")
    read = read_verdicts(table.assign(comment=None))
    assert read.reset_index().iloc[0].to_dict() == verdict_row(reviewer="Kim")
    assert read_verdicts(read).equals(read), "also indexed by path and reviewer"
    shouted = table.assign(verdict="Label Wrong").rename(columns=str.title)
    assert read_verdicts(shouted).equals(read_verdicts(table)), "in any case"
    with pytest.raises(ValueError, match="the table has the columns .*also has verdict"):
        read_verdicts(table.drop(columns="verdict"))


def test_the_verdicts_are_those_of_the_view():
    source = (Path(camkit.__file__).parent / "atlas" / "view" / "verdicts.js").read_text()
    listed = re.search(r"VERDICTS = \[(.*?)\]", source, re.DOTALL)[1]
    assert ("not reviewed", *re.findall(r'"(.+?)"', listed)) == VERDICTS
    columns = re.search(r"COLUMNS = \[(.*?)\]", source, re.DOTALL)[1]
    assert tuple(re.findall(r'"(.+?)"', columns)) == COLUMNS


@pytest.mark.parametrize(
    "text", ["=1+1", "'=1+1", "-5", "@x", "'quoted", "\tx", "'", "''=", '中文 😀 "x", y']
)
def test_no_cell_is_a_formula_and_all_come_back(tmp_path, text):
    file = tmp_path / "verdicts.csv"
    Verdicts(file).save(verdict_row(comment=text, path=f"{text}.jpg"))
    row = Verdicts(file).read().reset_index().iloc[0]
    assert (row["comment"], row["path"]) == (text, f"{text}.jpg")
    assert not any(
        re.match(r"[=+\-@\t]", cell)
        for cell in pd.read_csv(file, dtype=str, keep_default_na=False).iloc[0]
    )


def test_files_that_people_open_have_the_mark_of_utf_8(analysis, tmp_path):
    """Without it, Excel reads "Äpfel" as "Ã„pfel"."""
    file = tmp_path / "verdicts.csv"
    verdicts = Verdicts(file)
    for turn in range(2):
        assert verdicts.save(verdict_row(path=f"Äpfel/{turn}.jpg"))[0]
        assert file.read_bytes().startswith("\ufeffpath,true,".encode())
        assert file.read_bytes().count("\ufeff".encode()) == 1
    assert verdicts.read().index[0] == ("Äpfel/0.jpg", "")
    camkit.write_atlas(analysis, tmp_path / "page")
    assert (tmp_path / "page" / "faults.csv").read_bytes().startswith("\ufeffpath,".encode())


def test_a_file_that_a_spreadsheet_has_saved_is_read(tmp_path):
    file = tmp_path / "verdicts.csv"
    file.write_text(
        "\ufeffpath,true,predicted,verdict\r\n苹果.jpg,Ant,Bee,other\r\n",
        encoding="utf-8",
        newline="",
    )
    assert Verdicts(file).read().loc[("苹果.jpg", ""), "verdict"] == "other"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_edited_by_hand_is_read_correctly_and_kept_on(tmp_path, encoding, separator, end):
    """The first row has separators in quotes, the second is short and has a formula."""
    file = tmp_path / "verdicts.csv"
    rows = [
        ["path", "true", "predicted", "verdict", "comment"],
        ["苹果.jpg", "Ant", "Bee", "other", '"a; b, c\td\ne"'],
        ["b.jpg", "Ant", "=1+1", "ambiguous"],
    ]
    file.write_bytes(end.join(separator.join(row) for row in [*rows, []]).encode(encoding))
    for turn in range(2):  # the second time it is as camkit writes it
        table = Verdicts(file).read()
        assert list(table.loc[("苹果.jpg", "")]) == ["Ant", "Bee", "other", "a; b, c\td\ne", ""]
        assert list(table.loc[("b.jpg", "")]) == ["Ant", "=1+1", "ambiguous", "", ""]
        assert Verdicts(file).save(verdict_row(path=f"{turn}.jpg"))[0]
    assert "'=1+1" in file.read_text(encoding="utf-8")


@pytest.fixture(params=["python", pytest.param("pyarrow", marks=pytest.mark.sweep)])
def string_storage(request):
    """Let pandas store texts in this way. It chooses pyarrow where that is installed, which the
    core does not ask for, and pyarrow rejects names that are not valid UTF-8.
    """
    with pd.option_context("mode.string_storage", request.param):
        assert pd.Series(["text"]).dtype.storage == request.param
        yield


def test_bytes_of_another_encoding_stay_what_they_are(tmp_path, string_storage):
    """Nobody can tell cp1252 from a file name of odd bytes: neither is rewritten."""
    file = tmp_path / "verdicts.csv"
    file.write_bytes(
        "path,true,predicted,verdict,comment\nÄ.jpg,Ant,Bee,other,grün\n".encode("cp1252")
    )
    assert Verdicts(file).save(verdict_row())[0]
    assert "\nÄ.jpg,Ant,Bee,other,grün,,\n".encode("cp1252") in file.read_bytes()


def test_names_of_another_encoding_go_through_table_faults_and_page(tmp_path, string_storage):
    images = image_set(tmp_path / "pets")
    odd = images.paths[1].with_name(os.fsdecode("Fräulein.png".encode("cp1252")))
    images.paths[1].rename(odd)
    images.paths[2].write_bytes(odd.read_bytes())  # a copy: named beside it among the faults
    images = camkit.load_images(images.root, None)
    analysis = analysis_of(images)
    assert str(odd) in list(analysis.table["path"])
    faults = camkit.data_faults(analysis)
    assert str(odd) in {*faults["path"], *faults["other"]}
    camkit.write_atlas(analysis, images, tmp_path / "atlas")
    assert os.fsencode(odd) in (tmp_path / "atlas" / "faults.csv").read_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"\xff\xfea",
        b"PK\x03\x04\0\0\0",
        b"path,true,predicted\na,b,c\n",
        b"path,true,predicted,verdict\na,b,c,d,e\n",
        b"path,true,predicted,verdict\na,b,c,d\na,b,c,d,e\n",
        b'path,true,predicted,verdict\n"a,b,c,d\n',
    ],
)
def test_a_file_that_is_no_such_table_is_one_clear_error_and_left_alone(tmp_path, data):
    file = tmp_path / "verdicts.csv"
    file.write_bytes(data)
    with pytest.raises(ValueError, match="verdicts.csv .*choose another file"):
        Verdicts(file)
    assert file.read_bytes() == data


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "notes.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"columns \['a', 'b'\].*choose another file"):
        Verdicts(file)
    assert file.read_text() == "a,b\n1,2\n"


SAVING = """
import sys
from camkit.atlas.verdicts import PathMatcher, Verdicts, read_verdicts
file, reviewer, count = sys.argv[1:]
verdicts = Verdicts(file)
row = {"true": "Ant", "predicted": "Bee", "verdict": "other", "comment": "x" * 200}
for i in range(int(count)):
    verdicts.save(row | {"path": f"{reviewer}{i}.jpg", "reviewer": reviewer})
    print(i, flush=True)
"""


def test_two_processes_lose_nothing_and_a_kill_leaves_the_file_whole(tmp_path):
    file = tmp_path / "verdicts.csv"

    def start(reviewer, count):
        command = [sys.executable, "-c", SAVING, file, reviewer, str(count)]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    both = [start("one", 25), start("two", 25)]
    assert [process.wait(600) for process in both] == [0, 0]
    assert len(Verdicts(file).read()) == 50
    endless = start("three", 10_000)
    for _ in range(10):
        endless.stdout.readline()
    endless.kill()
    endless.wait()
    assert len(Verdicts(file).read()) >= 60 and Verdicts(file).save(verdict_row())[0]


# --- the notebook's side


def asked(view, monkeypatch, **message):
    """What the view answers to a message of the browser: (content, buffers)."""
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers=None: sent.append((content, buffers)))
    view._receive(view, message | {"number": 5}, [])
    assert sent[0][0].pop("number") == 5
    return sent[0]


def test_the_view_answers_and_tells_its_errors(analysis, images, tmp_path, monkeypatch):
    view = camkit.error_atlas(analysis, images, verdicts=tmp_path / "verdicts.csv")
    detail, [packed] = asked(view, monkeypatch, kind="detail", i=4)
    assert detail["about"]["name"] == "Bee/4.png" and sorted(unpacked(packed, (2, 4))) == [0, 1, 2]
    kind, [data] = asked(view, monkeypatch, kind="picture", i=4)
    assert (kind["type"], data) == ("image/png", Path(images.paths[4]).read_bytes())
    row = {"verdict": "ambiguous", "comment": "green", "correctLabel": "", "reviewer": "one"}
    changes = [{"i": 4, "entry": row, "seen": None}]
    answer, _ = asked(view, monkeypatch, kind="save", changes=changes)
    assert answer == {"answers": [{"saved": True, "row": {"i": 4, **row}}]}
    assert Verdicts(tmp_path / "verdicts.csv").read()["true"].to_dict() == {
        (images.paths[4].as_posix(), "one"): "Bee"
    }
    again = camkit.error_atlas(analysis, images, verdicts=tmp_path / "verdicts.csv")
    assert json.loads(again.index)["verdicts"] == [{"i": 4, **row}]

    wrong, _ = asked(view, monkeypatch, kind="picture", i=99)
    assert set(wrong) == {"error"}


def test_verdicts_under_other_paths_are_shown_kept_there_and_renamed(
    analysis, images, tmp_path, monkeypatch
):
    """A file of another machine, with an image of the reference and one that nobody knows."""
    reference = analysis_of(image_set(tmp_path / "known" / "Train"))
    file = tmp_path / "verdicts.csv"
    for path in ("pets/Bee/4.png", "C:\\pets\\Train\\Cat\\7.png", "/x/9.png"):
        Verdicts(file).save(verdict_row(path, "other"))
    view = camkit.error_atlas(analysis, verdicts=file, reference=reference)
    index = json.loads(view.index)
    assert [row["path"] for row in index["unmatched"]] == ["/x/9.png"]
    assert [row["i"] for row in index["verdicts"]] == [4, 15]
    assert {15} <= {other["i"] for other in index["others"]}
    detail, _ = asked(view, monkeypatch, kind="detail", i=15)
    [seen] = detail["verdicts"]
    assert (detail["about"]["split"], seen["verdict"]) == ("training", "other")

    entry = seen | {"verdict": "label wrong", "correctLabel": "Bee"}
    changes = [{"i": 15, "entry": entry, "seen": seen}]
    answer, _ = asked(view, monkeypatch, kind="save", changes=changes)
    assert answer["answers"][0]["saved"] and len(Verdicts(file).read()) == 3
    moved, _ = asked(view, monkeypatch, kind="rename", numbers=[4, 15, 2], old="", new="Kim")
    assert moved == {"moved": [4, 15]}
    table = Verdicts(file).read()
    assert table.loc[("C:\\pets\\Train\\Cat\\7.png", "Kim"), "correct_label"] == "Bee"
    assert ("/x/9.png", "") in table.index


def test_a_picture_is_sent_at_its_full_size_if_asked_for(analysis, images, monkeypatch):
    Image.new("RGB", (700, 600)).save(images.paths[4])
    view = camkit.error_atlas(analysis)
    for full, side in ((False, 512), (True, 700)):
        _, [data] = asked(view, monkeypatch, kind="picture", i=4, full=full)
        assert Image.open(io.BytesIO(data)).width == side


# --- the page


def index_of(page):
    text = (page.parent / "data" / "index.js").read_text()
    return json.loads(text.removeprefix("window.camkitAtlas=").removesuffix(";"))["index"]


def test_pictures_that_were_moved_are_named_at_once_with_the_way_on(
    analysis, images, tmp_path, monkeypatch
):
    def never(*arguments):
        raise AssertionError("something was computed before")

    monkeypatch.setattr(record, "embed", never)
    monkeypatch.setattr(record, "data_faults", never)
    images.root.rename(tmp_path / "moved")
    again = r"call camkit.analyze\(model, images, '.*pets'\)"
    missing = f"8 of 8 images are missing, such as .*0.png: put them back, or, .* {again}"
    with pytest.raises(FileNotFoundError, match=missing):
        camkit.write_atlas(analysis, tmp_path / "page")
    with pytest.raises(FileNotFoundError, match=missing):
        camkit.error_atlas(analysis)
    moved = camkit.load_images(tmp_path / "moved", None)
    with pytest.raises(ValueError, match=f"not all the same: if they were moved, {again}"):
        camkit.write_atlas(analysis, moved, tmp_path / "page")


def test_a_page_is_written_with_verdicts_and_those_on_no_picture_are_told(analysis, tmp_path):
    known = image_set(tmp_path / "known" / "Train", np.tile(LABELS, 5))
    reference = analysis_of(known, predicted=np.tile(PREDICTED, 5))
    file = tmp_path / "verdicts.csv"
    for path in ("pets/Bee/4.png", "Train/Cat/39.png", "/x/9.png"):
        Verdicts(file).save(verdict_row(path, "other"))
    with pytest.warns(UserWarning, match=r"1 of 3 verdicts are on images .* such as /x/9.png"):
        page = camkit.write_atlas(analysis, tmp_path / "page", reference=reference, verdicts=file)
    index = index_of(page)
    [other] = [other for other in index["others"] if other["name"] == "Cat/39.png"]
    assert [row["i"] for row in index["verdicts"]] == [4, other["i"]]
    assert [row["path"] for row in index["unmatched"]] == ["/x/9.png"]
    with pytest.raises(ValueError, match="also has predicted, true, verdict"):
        camkit.write_atlas(analysis, tmp_path / "page", verdicts=pd.DataFrame({"path": ["a"]}))
    with pytest.raises(FileNotFoundError):
        camkit.write_atlas(analysis, tmp_path / "page", verdicts=tmp_path / "none.csv")


def test_a_page_knows_its_pictures_by_content_and_name(analysis, images, tmp_path):
    images.paths[7].write_bytes(images.paths[3].read_bytes())
    keys = index_of(camkit.write_atlas(analysis, tmp_path / "page"))["keys"]
    contents, names = zip(*(key.split(".") for key in keys), strict=True)
    assert contents[3] == contents[7] and len(set(contents)) == 7
    assert len(set(names)) == 8


def test_a_page_needs_no_image_set(analysis, images, tmp_path):
    pages = [
        camkit.write_atlas(analysis, images, tmp_path / "old"),
        camkit.write_atlas(analysis, tmp_path / "new"),
        camkit.write_atlas(analysis, folder=str(tmp_path / "named")),
    ]
    texts = {page.read_text(encoding="utf-8") for page in pages}
    assert len(texts) == 1
    assert f"Error atlas: {'/'.join(images.root.parts[-2:])}" in texts.pop()


def test_a_page_holds_every_picture_and_its_maps(analysis, images, tmp_path):
    first = camkit.write_atlas(analysis, images, tmp_path / "out" / "page")
    assert first == tmp_path / "out" / "page" / "index.html" and os.listdir(tmp_path / "out") == [
        "page"
    ]
    chunk = (first.parent / "data" / "00000.js").read_text()
    details = json.loads(re.fullmatch(r"camkitAtlas\.chunks\[0\]=(.*);", chunk, re.S)[1])
    assert [detail["about"]["name"] for detail in details] == [
        "/".join(path.parts[-2:]) for path in images.paths
    ]
    for i, detail in enumerate(details):
        for c, (logit, _, heat, step) in unpacked(
            base64.b64decode(detail["packed"]), (2, 4)
        ).items():
            assert (
                np.abs(heat - analysis.maps[i, ..., c]).max() <= step / 2 + 1e-6
                and logit == analysis.logits[i, c]
            )
    assert (first.parent / "pictures" / "000003.png").read_bytes() == images.paths[3].read_bytes()
    assert len(pd.read_csv(first.parent / "faults.csv")) == len(camkit.data_faults(analysis))


def test_where_maps_are_many_errors_and_their_neighbours_keep_all(
    analysis, images, tmp_path, monkeypatch
):
    monkeypatch.setattr(page, "MAP_BYTES", 0)
    monkeypatch.setattr(record, "NEIGHBOURS", 1)
    wide = [f"class {c}" for c in range(8)]
    analysis = analysis_of(images, names=wide)
    analysis.predicted = analysis.labels.copy()
    analysis.predicted[2] = 5
    near = Record(analysis).neighbours[0]
    file = camkit.write_atlas(analysis, images, tmp_path / "page")
    details = json.loads((file.parent / "data" / "00000.js").read_text().split("=", 1)[1][:-1])
    kept = [len(unpacked(base64.b64decode(detail["packed"]), (2, 4))) for detail in details]
    assert [i for i, count in enumerate(kept) if count == 8] == sorted({2, int(near[2, 0])})
    assert all(count in (5, 6, 8) for count in kept)


@pytest.mark.parametrize("map_bytes", [0, 1_000_000])
def test_an_embedded_atlas_holds_the_neighbours_of_errors_alone(
    analysis, tmp_path, monkeypatch, map_bytes
):
    monkeypatch.setattr(page, "EMBEDDED_MAP_BYTES", map_bytes)
    training = image_set(tmp_path / "train", np.tile(LABELS, 8))
    reference = analysis_of(training, predicted=training.labels)
    recorded = Record(analysis, reference)
    index = recorded.index(open=False)
    errors = np.flatnonzero(PREDICTED != LABELS)
    neighbours = set(recorded.neighbours[0][errors].ravel().tolist())
    of_faults = record.images_of_faults(index)

    frame = page.embedded(recorded, index)
    text = html.unescape(re.fullmatch(r'<iframe .* srcdoc="(.*)"></iframe>', frame, re.S)[1])
    data = json.loads(re.search(r"<script>window\.camkitAtlas=(.*);</script>", text)[1])
    [details] = data["chunks"]
    assert len(details) == len(data["pictures"]) == data["index"]["chunk"]
    assert len(details) == 8 + len({i for i in neighbours | of_faults if i >= 8})
    assert all(len(details[i]["near"]) == 5 for i in errors)
    shown = {neighbour["i"] for detail in details for neighbour in detail["near"]}
    assert max(shown) < len(details)


def inline_data(text):
    """Return the data that a page holds in itself."""
    return json.loads(re.search(r"<script>window\.camkitAtlas=(.*);</script>", text)[1])


def test_one_file_holds_all_pictures_and_their_maps(analysis, images, tmp_path):
    training = image_set(tmp_path / "train", np.tile(LABELS, 4))
    reference = analysis_of(training, predicted=training.labels)
    target = tmp_path / "out" / "errors.html"
    file = camkit.write_atlas(analysis, images, target, reference=reference, single=True)
    assert file == target and os.listdir(tmp_path / "out") == ["errors.html"]
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|link)[^>]* (src|href)=", text)
    assert "So that they fit into one file" not in text
    data = inline_data(text)
    errors = np.flatnonzero(PREDICTED != LABELS)
    neighbours = set(Record(analysis, reference).neighbours[0][errors].ravel().tolist())
    [details] = data["chunks"]
    assert len(details) == len(data["pictures"]) == len(data["index"]["keys"])
    assert len(details) >= 8 + len(neighbours)
    assert all(len(details[i]["near"]) == 5 for i in errors)
    start = "data:image/png;base64,"
    pictures = [base64.b64decode(picture.removeprefix(start)) for picture in data["pictures"]]
    assert pictures[3] == images.paths[3].read_bytes()
    camkit.write_atlas(analysis, target, single=True)
    assert len(inline_data(target.read_text())["pictures"]) == 8


def test_one_file_tells_nothing_of_the_machine(analysis, images, tmp_path):
    training = image_set(images.root.parent / "train", np.tile(LABELS, 2))
    reference = analysis_of(training, predicted=training.labels)
    file = camkit.write_atlas(analysis, tmp_path / "a.html", reference=reference, single=True)
    text = file.read_text()
    assert str(images.root.parent) not in text
    data = inline_data(text)
    paths = [detail["about"]["path"] for detail in data["chunks"][0]]
    assert paths[:8] == data["index"]["paths"]
    assert f"{images.root.parent.name}/{images.root.name}/Ant/0.png" == paths[0]
    # The CSV file that the page saves has these paths.
    matcher = PathMatcher([*analysis.paths, *reference.paths])
    found = [matcher.find(path) for path in paths]
    assert found[:8] == list(range(8)) and len(set(found)) == len(paths) > 8 and None not in found
    alone = camkit.write_atlas(analysis.select([0]), tmp_path / "b.html", single=True)
    assert inline_data(alone.read_text())["index"]["paths"] == ["Ant/0.png"]


def test_pictures_of_one_file_are_reduced_until_it_is_small_enough(tmp_path, monkeypatch):
    analysis = analysis_of(image_set(tmp_path / "pets"))
    file = tmp_path / "pets.html"
    sizes = []
    for side in (512, 20, 10):
        monkeypatch.setattr(page, "SINGLE_SIDES", (side,))
        sizes.append(camkit.write_atlas(analysis, file, single=True).stat().st_size)
    assert sizes == sorted(sizes, reverse=True)

    monkeypatch.setattr(page, "SINGLE_SIDES", (512, 20, 10))
    monkeypatch.setattr(page, "LEAST_BYTES", 1)
    monkeypatch.setattr(page, "SINGLE_BYTES", sizes[1] + 100)
    text = camkit.write_atlas(analysis, file, single=True).read_text()
    assert "So that they fit into one file, pictures have 20 pixels at most." in text
    picture = base64.b64decode(inline_data(text)["pictures"][0].split(",")[1])
    assert Image.open(io.BytesIO(picture)).size == (20, 13)

    monkeypatch.setattr(page, "SINGLE_BYTES", sizes[2] - 100)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"8 images come to more .* leave out single to write a "):
        camkit.write_atlas(analysis, file, single=True)
    assert file.read_bytes() == before
    monkeypatch.setattr(page, "LEAST_BYTES", sizes[2])
    with pytest.raises(ValueError, match=r"8 images come to more .* by analysis\.select"):
        camkit.write_atlas(analysis, file, single=True)


@pytest.mark.parametrize("name", ["folder", "atlas", "atlas.htm.zip"])
def test_one_file_has_the_name_of_a_page(analysis, tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="no name for an atlas in one file: choose one that ends"):
        camkit.write_atlas(analysis, tmp_path / name, single=True)


def test_one_file_replaces_an_atlas_and_nothing_else(analysis, tmp_path):
    thesis = tmp_path / "thesis.html"
    thesis.write_text("<p>years</p>")
    with pytest.raises(ValueError, match="thesis.html holds something other than an atlas"):
        camkit.write_atlas(analysis, thesis, single=True)
    assert thesis.read_text() == "<p>years</p>"
    with pytest.raises(ValueError, match="x.html is the name of a page, .*: pass single=True"):
        camkit.write_atlas(analysis, tmp_path / "x.html")


@pytest.fixture
def earlier(images):
    """The analysis by another model: of other classes and a finer grid, without image 7."""
    earlier = analysis_of(images, np.zeros(8, int), names=["Cat", "Dog"], cells=(3, 5))
    return replace(earlier, labels=np.where(LABELS == 2, 0, -1)).select(range(7))


def test_what_changed_is_given_to_the_view(analysis, earlier):
    index = Record(analysis, before=earlier).index()["comparison"]
    assert index["changes"] == [
        {"name": "both right", "images": [5]},
        {"name": "mended", "images": [0, 3]},
        {"name": "broken", "images": [6]},
        {"name": "both wrong, changed answer", "images": [1, 2, 4]},
    ]
    assert index["classNames"] == ["Ant", "Bee", "Cat", "Dog"] and index["cells"] == [3, 5]
    assert index["predicted"] == [2] * 7 + [-1] and index["confidence"][7] == 0
    assert index["lines"][0] == "+14.3 points" and index["lines"][1].startswith("28.6 % correct")
    assert Record(analysis).index()["comparison"] is None


def test_maps_of_both_models_are_held_by_page_cell_and_kernel(
    analysis, earlier, images, tmp_path, monkeypatch
):
    file = camkit.write_atlas(analysis, tmp_path / "page", before=earlier)
    chunk = (file.parent / "data" / "00000.js").read_text()
    of_page = json.loads(chunk.split("=", 1)[1][:-1])
    recorded = Record(analysis, before=earlier)
    frame = html.unescape(page.embedded(recorded, recorded.index(open=False)))
    [of_cell] = inline_data(frame)["chunks"]
    single = camkit.write_atlas(analysis, tmp_path / "a.html", before=earlier, single=True)
    [of_file] = inline_data(single.read_text())["chunks"]
    view = camkit.error_atlas(analysis, before=earlier)
    _, [_, of_kernel] = asked(view, monkeypatch, kind="detail", i=6)
    texts = (details[6]["before"] for details in (of_page, of_cell, of_file))
    for data in (*map(base64.b64decode, texts), of_kernel):
        found = unpacked(data, (3, 5))
        assert sorted(found) == [2, 3]
        logit, _, heat, step = found[3]
        assert logit == earlier.logits[6, 1]
        assert np.abs(heat - earlier.maps[6, ..., 1]).max() <= step / 2 + 1e-6
    assert "before" not in of_page[7] and len(asked(view, monkeypatch, kind="detail", i=7)[1]) == 1


def test_where_maps_are_many_changed_images_keep_all(images, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MAP_BYTES", 0)
    monkeypatch.setattr(record, "NEIGHBOURS", 0)
    wide = [f"class {c}" for c in range(8)]
    after = analysis_of(images, LABELS, names=wide)
    before = analysis_of(images, np.where(np.arange(8) == 5, 7, LABELS), names=wide)
    file = camkit.write_atlas(after, tmp_path / "page", before=before)
    details = json.loads((file.parent / "data" / "00000.js").read_text().split("=", 1)[1][:-1])
    kept = [len(unpacked(base64.b64decode(detail["before"]), (2, 4))) for detail in details]
    assert kept[5] == 8 and max(kept[:5] + kept[6:]) <= 6


def test_an_analysis_of_other_images_is_not_compared(analysis, tmp_path):
    other = analysis_of(image_set(tmp_path / "other", LABELS[::-1]))
    for path in other.paths:
        Image.new("RGB", (9, 9), (len(path), 7, 7)).save(path)
    with pytest.raises(ValueError, match="no image is in both analyses"):
        camkit.write_atlas(analysis, tmp_path / "page", before=other)
    assert not (tmp_path / "page").exists()


def test_a_page_is_whole_or_absent(analysis, images, tmp_path):
    file = camkit.write_atlas(analysis, images, tmp_path / "page")
    before = file.read_bytes(), sorted(os.listdir(file.parent / "pictures"))
    images.paths[5].unlink()
    for folder in ("page", "other"):
        with pytest.raises(
            OSError, match="1 of 8 images is missing, such as .*5.png: put them back"
        ):
            camkit.write_atlas(analysis, images, tmp_path / folder)
    assert (file.read_bytes(), sorted(os.listdir(file.parent / "pictures"))) == before
    assert sorted(os.listdir(tmp_path)) == ["page", "pets"]


def test_an_atlas_is_replaced_and_nothing_else(analysis, images, tmp_path):
    file = camkit.write_atlas(analysis, images, tmp_path / "page")
    (file.parent / "old").touch()
    camkit.write_atlas(analysis, images, tmp_path / "page")
    assert not (file.parent / "old").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="holds something other than an atlas"):
        camkit.write_atlas(analysis, images, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize(
    "mode, size, suffix",
    [
        ("RGB", (40, 30), "png"),
        ("RGBA", (40, 30), "png"),
        ("L", (800, 600), "jpg"),
        ("RGB", (600, 30), "tif"),
        ("CMYK", (40, 30), "jpg"),
    ],
)
def test_pictures_are_made_fit_for_any_browser(tmp_path, mode, size, suffix):
    file = tmp_path / f"x.{suffix}"
    Image.new(mode, size).save(file)
    data, kind = _encoding.browser_image(file, FileReader())
    (tmp_path / "out").write_bytes(data)
    with Image.open(tmp_path / "out") as image:
        assert (image.format, image.mode) == (kind.upper(), "RGB")
        assert max(image.size) == min(max(size), 512)
        assert image.width / image.height == pytest.approx(size[0] / size[1], rel=0.05)


def test_data_are_ascii_without_markup(tmp_path):
    assert _encoding.script_json({"<script>": "</script><!-- 中文 😀 \udcff"}) == (
        '{"\\u003cscript>":"\\u003c/script>\\u003c!-- \\u4e2d\\u6587 \\ud83d\\ude00 \\udcff"}'
    )
