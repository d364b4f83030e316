"""What the tests share: marks by folder, and the fixtures of more than one file."""

import fcntl
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
FOLDER_MARKS = {
    "browser": "browser",
    "course": "course",
    "exports": "exports",
    "stress": "stress",
}
FIXTURE_MARKS = {"shared": "slow", "executed": "lesson", "browser": "browser", "firefox": "browser"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark tests by their folder and by what they use.

    That is real photographs, a lesson that has run, or a browser.
    """
    for item in items:
        for folder, mark in FOLDER_MARKS.items():
            if ROOT / "tests" / folder in item.path.parents:
                item.add_marker(mark)
        for fixture, mark in FIXTURE_MARKS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


@pytest.fixture(scope="session")
def shared():
    """Return the optional folder ../shared with real photographs and weights; without it, skip."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared with the real photographs and weights")
    return folder


@pytest.fixture(scope="session")
def tf():
    """Return TensorFlow; where Keras runs on another backend, skip what is about it."""
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        pytest.skip(f"is about TensorFlow, and Keras runs on {backend}")
    import tensorflow

    return tensorflow


@pytest.fixture(scope="session")
def executed():
    """Return a function that takes a lesson and returns (executed notebook, page).

    Each lesson runs once, in order, whoever asks.

    What `make notebooks` or another test has left in build/ serves as well, where nothing has
    changed since. Tests in several processes wait for each other.
    """
    import nbformat
    import run
    from lesson_files import LESSONS, execute

    BUILD.mkdir(exist_ok=True)
    results = {}

    def load_or_execute(path):
        with open(BUILD / "executed.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            saved = BUILD / path.name
            if saved.exists():
                notebook = nbformat.read(saved, as_version=4)
                if notebook.metadata.get("made_from") == run.made_from(path):
                    return notebook
            notebook = execute(path)
            if not run.problems(notebook):
                run.save(notebook, path.name, BUILD)
            return notebook

    def get(lesson):
        for path in LESSONS[: LESSONS.index(lesson) + 1]:
            if path not in results:
                notebook = load_or_execute(path)
                results[path] = notebook, run.page(notebook, path.name)
        return results[lesson]

    return get


@pytest.fixture(scope="session")
def site_playground():
    """Return the folder of the playground that the pages show.

    What `make notebooks` has left in build/ serves as well, where nothing has changed since.
    """
    import front

    BUILD.mkdir(exist_ok=True)
    folder = BUILD / front.PLAYGROUND
    with open(BUILD / "playground.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        front.write_playground(folder)
    return folder


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """Return the analysis that the programs of tests/exports open, in an environment each."""
    from made_analyses import marked_analysis

    return marked_analysis(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def playwright():
    """Return Playwright, which drives the browsers."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browser(playwright):
    """Return a headless Chromium."""
    from chromium import CHROMIUM, FLAGS

    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def firefox(playwright, tmp_path_factory):
    """Return a headless Firefox, the released one; without it, skip.

    Its pages are driven as those of Chromium. Requests for files are not reported.
    """
    from firefox import FIREFOX, launched

    if FIREFOX is None:
        pytest.skip("needs Firefox (firefox-esr) on the PATH")
    released = launched(playwright, tmp_path_factory.mktemp("firefox"))
    yield released
    released.close()


@pytest.fixture(scope="module")
def lab(folder):
    """Return the URL of a JupyterLab that serves the module's `folder` to this machine alone."""
    from servers import serving_lab

    with serving_lab(folder, folder.parent) as address:
        yield address
