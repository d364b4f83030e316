# make notebooks   runs every lesson and writes its page into build/ (open build/index.html)
# make lab         opens the lessons in JupyterLab
# make atlas MODEL=model.keras IMAGES=folder   writes the error atlas of a model on these pictures and opens it
# make app ANALYSIS=folder                     serves the atlas of an analysis as an app, for several reviewers
# make course [SEED=2027]                      makes the graded course of a year: the release, the gradebook, the guide
# make grade SUBMITTED=folder [SEED=2027]      grades what students handed in: folder/STUDENT/…ipynb
# make course-proof [SEED=2027]                grades every wrong answer with nbgrader: twenty minutes
# make test        runs the tests; make sweep: those that build every model of keras.applications; make bench: benchmarks
# make fuzz        reads 10,000 broken pictures, 1,000 hostile archives, 300 models and 100 notebooks; make test a tenth
# make faults      kills all that writes, fills its disk and so on: make test does a part; the page is build/faults.html
# make dist        makes the wheel and the sdist of the last commit in build/dist
# make lock        writes requirements.lock anew from pyproject.toml
# make versions    runs the tests with the lowest versions that pyproject.toml allows and with the newest: an hour
#
# The first of them makes .venv; each target installs there, once, what it needs of the locked dependencies. Other images
# and another backbone: make notebooks DATASET=fruits-360 BACKBONE=ResNet50, or a folder and a weights file of your own:
# make notebooks DATASET=path/to/images BACKBONE=MobileNetV2 WEIGHTS=path/to/weights.h5
# BOXES=path/to/photographs, with a boxes.csv, is for the lessons on photographs in which people have drawn boxes.
# LESSONS="03 1" runs those whose names begin so.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3; do $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
DATASET ?= mini
BACKBONE ?= mini
WEIGHTS ?= imagenet
BOXES ?=
LESSONS ?=
# OPTIONS of `python -m camkit analyze`, such as OPTIONS="--method grad_cam"
OPTIONS ?=
COMPILE = pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate
UV = build/uv/bin/python -m uv
SEED ?= 2026
ATLAS = build/atlas/$(basename $(notdir $(MODEL)))-$(notdir $(patsubst %/,%,$(IMAGES)))

.PHONY: notebooks lab atlas app course course-proof grade test sweep fuzz faults bench dist lock versions clean

notebooks: .venv/lessons
	.venv/bin/python notebooks/site --dataset "$(DATASET)" --backbone "$(BACKBONE)" --weights "$(WEIGHTS)" --boxes "$(BOXES)" $(LESSONS)

lab: .venv/lessons
	.venv/bin/python -m jupyterlab notebooks

atlas: .venv/lessons
	@test -n "$(MODEL)" -a -n "$(IMAGES)" || { echo 'make atlas MODEL=model.keras IMAGES=folder [OPTIONS="--method grad_cam"]'; exit 2; }
	.venv/bin/python -m camkit analyze "$(MODEL)" "$(IMAGES)" --out "$(ATLAS)/analysis" $(OPTIONS)
	.venv/bin/python -m camkit atlas "$(ATLAS)/analysis" --out "$(ATLAS)/page" --open

app: export ANALYSIS := $(abspath $(ANALYSIS))
app: export REFERENCE := $(abspath $(REFERENCE))
app: export VERDICTS := $(abspath $(VERDICTS))
app: .venv/app
	cd notebooks/app && ../../.venv/bin/python -m voila atlas.ipynb

COURSE = .venv/bin/python notebooks/assignments/course.py --seed "$(SEED)"

course: .venv/course
	$(COURSE) build

# All wrong answers to all assignments of a year, graded by nbgrader itself. The tests do a part.
course-proof: .venv/course
	$(COURSE) prove

grade: .venv/course
	@test -n "$(SUBMITTED)" || { echo "make grade SUBMITTED=folder, with a folder for each student in it"; exit 2; }
	$(COURSE) grade "$(SUBMITTED)"

# Two processes on two cores: a thread each, or they wait for one another.
test sweep versions: export OMP_NUM_THREADS = 1
test sweep versions: export OPENBLAS_NUM_THREADS = 1
test sweep versions: export TF_NUM_INTRAOP_THREADS = 1

test: .venv/test
	.venv/bin/python -m pytest --numprocesses 2 --dist loadfile --durations 20 -m "not sweep"

sweep: .venv/test
	.venv/bin/python -m pytest --numprocesses 2 -m sweep

fuzz: export FUZZ_ALL = 1
fuzz: .venv/test
	.venv/bin/python -m pytest --numprocesses 2 tests/test_fuzz.py

faults: export FAULTS_ALL = 1
faults: .venv/test
	.venv/bin/python -m pytest tests/test_writers.py

bench: .venv/bench
	.venv/bin/python tests/bench/bench.py

# From a copy, since setuptools works in build/ too, and would take along what lies there.
dist: .venv/lessons
	rm -rf build/dist && mkdir -p build/dist/source
	git archive HEAD | tar -x -C build/dist/source
	cd build/dist/source && ../../../.venv/bin/python -c "from setuptools.build_meta import *; build_sdist('..'); build_wheel('..')"
	rm -rf build/dist/source

# What a target needs is what stands in the lock under headings that name it.
ENVIRONMENTS = lessons app course cluster bench test
$(ENVIRONMENTS:%=.venv/%): requirements.lock pyproject.toml
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	  echo "camkit needs Python 3.11 or newer, found: $$("$(PYTHON)" --version 2>/dev/null || echo none)."; \
	  echo "Install it, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv .venv
	awk '/^# --- / { takes = / $(@F)( |$$)/ } takes' requirements.lock > $@.txt
	.venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r $@.txt
	.venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Everything together, so that one version serves all; then what each target needs of it. What the same targets need
# stands under one heading, with their names.
lock: build/uv
	mkdir -p build/lock
	$(UV) $(COMPILE) --upgrade --all-extras --output-file build/lock/all
	for each in $(ENVIRONMENTS); do $(UV) $(COMPILE) --constraints build/lock/all \
	  $$(test $$each = lessons || echo --extra $$each) --output-file build/lock/$$each || exit 1; done
	cd build/lock && awk '/^[a-z0-9]/ { package = $$0; fresh = !(package in needed); if (fresh) packages[++n] = package } \
	  /^[a-z0-9]/ { needed[package] = needed[package] " " FILENAME } fresh { text[package] = text[package] $$0 "\n" } \
	  END { for (i = 1; i <= n; i++) { set = needed[packages[i]]; if (!(set in part)) sets[++m] = set; \
	          part[set] = part[set] text[packages[i]] } \
	        for (i = 1; i <= m; i++) printf "# ---%s\n%s", sets[i], part[sets[i]] }' $(ENVIRONMENTS) > ../../requirements.lock

# In an environment each. TESTS="tests/test_cam.py" runs those; VERSIONS=lowest-direct one of the two.
VERSIONS = lowest-direct highest
TESTS = tests

versions: $(VERSIONS:%=build/versions/%)
	for each in $(VERSIONS); do PATH="$$PWD/build/versions/$$each/bin:$$PATH" \
	  python -m pytest --numprocesses 2 --dist loadfile -m "not sweep and not locked" $(TESTS) || exit 1; done

build/versions/%: pyproject.toml | build/uv
	mkdir -p build/versions
	$(UV) pip compile --quiet pyproject.toml --all-extras --python-version 3.11 --resolution $* --output-file $@.txt
	$(UV) venv --quiet --clear --seed --python "$(PYTHON)" $@
	$(UV) pip install --quiet --python $@ -r $@.txt
	$(UV) pip install --quiet --python $@ --no-deps --no-build-isolation -e .
	touch $@

build/uv:
	"$(PYTHON)" -m venv $@
	$@/bin/python -m pip install --disable-pip-version-check --quiet uv

clean:
	rm -rf build
