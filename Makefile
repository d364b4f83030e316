# What this project can do: `make help` lists it.
#
# The first target makes .venv; each target installs there, once, what it needs of the locked dependencies.
# DATASET, BACKBONE, WEIGHTS and BOXES choose other images and another backbone for the lessons:
#   make notebooks DATASET=fruits-360 BACKBONE=ResNet50
#   make notebooks DATASET=path/to/images BACKBONE=MobileNetV2 WEIGHTS=path/to/weights.h5
#   make notebooks BOXES=path/to/photographs (with a boxes.csv, for the lessons on photographs with drawn boxes)
# LESSONS="03 1" runs the lessons whose names begin so.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3; do $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)
DATASET ?= mini
BACKBONE ?= mini
WEIGHTS ?= imagenet
BOXES ?=
LESSONS ?=
# OPTIONS of `camkit analyze`, such as OPTIONS="--method grad_cam"
OPTIONS ?=
SEED ?= 2026
ATLAS = build/atlas/$(basename $(notdir $(MODEL)))-$(notdir $(patsubst %/,%,$(IMAGES)))

.DEFAULT_GOAL := help
.NOTPARALLEL:

##@ To learn

.PHONY: help
help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

.PHONY: notebooks
notebooks: .venv/site ## run every lesson and write its page into build/ (open build/index.html: it comes first, to play with)
	.venv/bin/python notebooks/site --dataset "$(DATASET)" --backbone "$(BACKBONE)" \
	  --weights "$(WEIGHTS)" --boxes "$(BOXES)" $(LESSONS)

.PHONY: lab
lab: .venv/lessons ## open the lessons in JupyterLab
	.venv/bin/python -m jupyterlab notebooks

##@ To use

.PHONY: atlas
atlas: .venv/tensorflow ## MODEL=model.keras IMAGES=folder: write the error atlas of a model on these images and open it
	@test -n "$(MODEL)" -a -n "$(IMAGES)" || { \
	  echo 'make atlas MODEL=model.keras IMAGES=folder [OPTIONS="--method grad_cam"]'; exit 2; }
	.venv/bin/python -m camkit analyze "$(MODEL)" "$(IMAGES)" --out "$(ATLAS)/analysis" $(OPTIONS)
	.venv/bin/python -m camkit atlas "$(ATLAS)/analysis" --out "$(ATLAS)/page" --open

.PHONY: app
app: export ANALYSIS := $(abspath $(ANALYSIS))
app: export REFERENCE := $(abspath $(REFERENCE))
app: export VERDICTS := $(abspath $(VERDICTS))
app: .venv/app ## ANALYSIS=folder: serve the atlas of an analysis as an app, for several reviewers
	cd notebooks/app && ../../.venv/bin/python -m voila atlas.ipynb

##@ To teach

course grade course-proof: export COURSE_ASSIGNMENTS := $(if $(ASSIGNMENTS),$(abspath $(ASSIGNMENTS)))
COURSE = PYTHONPATH="notebooks/assignments:notebooks/site$${PYTHONPATH:+:$$PYTHONPATH}" .venv/bin/python -m course --seed "$(SEED)"

.PHONY: course
course: .venv/course ## [SEED=2027 ASSIGNMENTS=folder]: make the graded course of a year, camkit's or your own: the release, the gradebook, the guide
	$(COURSE) build

.PHONY: grade
grade: .venv/course ## [SUBMITTED=download STUDENTS=table.csv DUE=3-cam=2026-10-09T23:59 AGAIN=1 SEED=2027]: grade what students handed in; without SUBMITTED, take in what you read by hand
	$(COURSE) grade $(if $(SUBMITTED),"$(SUBMITTED)") $(if $(STUDENTS),--students "$(STUDENTS)") $(DUE:%=--due "%") $(if $(AGAIN),--again)

.PHONY: course-proof
course-proof: .venv/course ## [SEED=2027 ONLY="3 5"]: grade every known wrong answer with nbgrader, of all assignments (20 minutes) or of some
	$(COURSE) prove $(ONLY)

##@ To develop

# Two processes at a time, with one thread each: more threads than cores wait for one another. TWO shares the tests of
# a folder between them, file by file, so that a file's fixtures are made once.
PYTEST = .venv/bin/python -m pytest
TWO = --numprocesses 2 --dist loadfile
test backends check-% fuzz crashes: export OMP_NUM_THREADS = 1
test backends check-% fuzz crashes: export OPENBLAS_NUM_THREADS = 1
test backends check-% fuzz crashes: export TF_NUM_INTRAOP_THREADS = 1

.PHONY: test
test: .venv/test ## run what a commit needs: unit tests, the project's rules, a lesson, three pages in a browser (7 minutes)
	$(PYTEST) -p randomly --randomly-seed $(ORDER) $(TWO) --durations 10 -m "$(QUICK)" $(FOLDERS)

# What bears none of the marks of the parts below, and one of its kind where a test is marked `smoke`. In a random order
# with random numbers that are the same on every machine; ORDER=2 makes others.
ORDER = 1
QUICK = smoke or not (slow or lesson or browser or course or stress or sweep or solutions)
# The folders whose tests can be imported with what .venv/test installs. The others need .venv/check.
FOLDERS = tests/unit tests/project tests/view tests/lessons tests/browser

PARTS_OF_CHECK = lint types view doctest unit lessons solutions browser course stress sweep hub exports pythons installed versions photographs
.PHONY: check
check: test backends $(PARTS_OF_CHECK:%=check-%) fuzz crashes course-proof ## run everything: `make test` and the parts below (hours)

.PHONY: check-lint
check-lint: .venv/dev ## format, lint, layers (seconds)
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports --no-cache

.PHONY: check-types
check-types: .venv/dev ## mypy over the package (half a minute)
	.venv/bin/mypy

.PHONY: check-view
check-view: ## types, lint and unit tests of the atlas' JavaScript; needs Node and npm (half a minute)
	cd tests/view && npm ci --no-audit --no-fund && npm test

.PHONY: check-doctest
check-doctest: .venv/check ## the examples in the docstrings (1 minute)
	$(PYTEST) $(TWO) --doctest-modules camkit --ignore-glob "camkit/models/_backend/*"

UNIT = $(FOLDERS)
.PHONY: check-unit
check-unit: .venv/test ## the unit tests that take long, which `make test` leaves out (6 minutes)
	$(PYTEST) $(TWO) -m "slow and not sweep" $(UNIT)

.PHONY: check-lessons
check-lessons: .venv/test ## every lesson and its page; uses what `make notebooks` left in build/ (8 minutes without)
	$(PYTEST) $(TWO) -m "lesson and not browser" $(FOLDERS)

BROWSER = tests
.PHONY: check-browser
check-browser: .venv/check ## the pages, the lessons in JupyterLab, the app, in headless Chromium and Firefox (5 minutes)
	$(PYTEST) $(TWO) -m "browser and not course" $(BROWSER:%="%")

COURSE_TESTS = tests/course tests/project
.PHONY: check-course
check-course: .venv/check ## the graded course (5 minutes)
	$(PYTEST) $(TWO) -m "course and not sweep" $(COURSE_TESTS)

STRESS = tests/stress
.PHONY: check-stress
check-stress: .venv/check ## a tenth of `make fuzz`, a part of `make crashes`, and a Ray cluster (6 minutes)
	$(PYTEST) $(TWO) -m stress $(STRESS)

.PHONY: check-solutions
check-solutions: export LESSONS := $(LESSONS)
check-solutions: .venv/check ## [LESSONS="03 1"]: run the lessons, and after each the solutions of its exercises (20 minutes)
	$(PYTEST) -m solutions tests/lessons/test_solutions.py

SWEEP = tests
.PHONY: check-sweep
check-sweep: .venv/check .venv/dev ## every member of the large families, such as all models of keras.applications (12 minutes)
	$(PYTEST) $(TWO) -m sweep $(SWEEP)

.PHONY: fuzz
fuzz: export FUZZ_ALL = 1
fuzz: .venv/check ## read 10,000 broken images, 1,000 hostile archives, 300 models and 100 notebooks
	$(PYTEST) $(TWO) tests/stress/test_fuzz.py

.PHONY: crashes
crashes: export CRASHES_ALL = 1
crashes: .venv/check ## kill everything that writes files, fill its disk and so on; the page is build/crashes.html
	$(PYTEST) tests/stress/test_writers.py

# On real photographs, where they lie beside the project.
SHARED ?= ../shared
.PHONY: check-photographs
check-photographs: .venv/site ## the lessons on real photographs, if ../shared holds them, and their recorded tables (40 minutes)
	rm -rf build/records
	@if [ -d "$(SHARED)/fruits-360" ]; then \
	  $(MAKE) notebooks DATASET="$(SHARED)/fruits-360" BACKBONE=MobileNetV2 BOXES="$(SHARED)/fruit-boxes" \
	    WEIGHTS="$(SHARED)/keras/mobilenet_v2_imagenet_notop.weights.h5" LESSONS="$(LESSONS)" && \
	  { [ -n "$(LESSONS)" ] || $(MAKE) notebooks BACKBONE=EfficientNetLite0 LESSONS=09; } && \
	  .venv/bin/python tests/records.py $(if $(LESSONS),,--all); \
	else echo "NOT CHECKED: $(SHARED)/fruits-360 is missing"; fi

.PHONY: bench
bench: .venv/bench .venv/course ## [PARTS="lessons forward" WITH=path/to/another/checkout]: benchmarks, as ratios (15 minutes)
	.venv/bin/python tests/bench $(PARTS) $(if $(WITH),--with "$(WITH)")

# From a copy, since setuptools works in build/ too, and would take along what lies there.
.PHONY: dist
dist: .venv/core ## make the wheel and the sdist of the last commit in build/dist
	rm -rf build/dist && mkdir -p build/dist/source
	git archive HEAD | tar -x -C build/dist/source
	cd build/dist/source && ../../../.venv/bin/python -c "from setuptools.build_meta import *; build_sdist('..'); build_wheel('..')"
	rm -rf build/dist/source

.PHONY: clean
clean: ## remove build/
	rm -rf build

##@ Versions

# What a target needs is what stands in the lock under headings that name it. The other backends of Keras are not locked:
# `make backends` installs them in environments of their own.
ENVIRONMENTS = core tensorflow notebook lessons playground site app course heic medical parquet cluster bench test check dev
LOCKED_EXTRAS = $(patsubst %,--extra %,$(filter-out core,$(ENVIRONMENTS)))
$(ENVIRONMENTS:%=.venv/%): requirements.lock pyproject.toml
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	  echo "camkit needs Python 3.11 or newer, found: $$("$(PYTHON)" --version 2>/dev/null || echo none)."; \
	  echo "Install it, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x .venv/bin/pip || "$(PYTHON)" -m venv .venv
	awk '/^# --- / { takes = / $(@F)( |$$)/ } takes' requirements.lock > $@.txt
	.venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r $@.txt
	test .venv/camkit -nt pyproject.toml || \
	  .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch .venv/camkit $@

COMPILE = pip compile --quiet pyproject.toml build/lock/build.in --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate
UV = build/uv/bin/python -m uv

# Everything together, so that one version serves all; then what each target needs of it, and what installs camkit itself.
# What the same targets need stands under one heading, with their names.
.PHONY: lock
lock: build/uv/ready ## write requirements.lock anew from pyproject.toml
	mkdir -p build/lock
	sed -n 's/^requires = \["\(.*\)"\]/\1/p' pyproject.toml > build/lock/build.in
	$(UV) $(COMPILE) --upgrade $(LOCKED_EXTRAS) --output-file build/lock/all
	for each in $(ENVIRONMENTS); do $(UV) $(COMPILE) --constraints build/lock/all \
	  $$(test $$each = core || echo --extra $$each) --output-file build/lock/$$each || exit 1; done
	cd build/lock && awk '/^[a-z0-9]/ { package = $$0; fresh = !(package in needed); if (fresh) packages[++n] = package } \
	  /^[a-z0-9]/ { needed[package] = needed[package] " " FILENAME } fresh { text[package] = text[package] $$0 "\n" } \
	  END { for (i = 1; i <= n; i++) { set = needed[packages[i]]; if (!(set in part)) sets[++m] = set; \
	          part[set] = part[set] text[packages[i]] } \
	        for (i = 1; i <= m; i++) printf "# ---%s\n%s", sets[i], part[sets[i]] }' $(ENVIRONMENTS) > ../../requirements.lock

# In an environment each. TESTS="tests/unit/test_cam.py" runs those; VERSIONS=lowest-direct one of the two.
VERSIONS = lowest-direct highest
TESTS ?= tests

.PHONY: check-versions
check-versions: $(VERSIONS:%=build/versions/%/ready) ## the tests with the lowest versions allowed and with the newest (1 hour)
	for each in $(VERSIONS); do PATH="$$PWD/build/versions/$$each/bin:$$PATH" \
	  python -m pytest $(TWO) -m "not (sweep or locked or exports)" $(TESTS) || exit 1; done

build/versions/%/ready: pyproject.toml | build/uv/ready
	mkdir -p build/versions
	$(UV) pip compile --quiet pyproject.toml $(LOCKED_EXTRAS) --python-version 3.11 --resolution $* --output-file $(@D).txt
	$(UV) venv --quiet --clear --seed --python "$(PYTHON)" $(@D)
	$(UV) pip install --quiet --python $(@D) -r $(@D).txt
	$(UV) pip install --quiet --python $(@D) --no-deps --no-build-isolation -e .
	touch $@

# The other backends of Keras, each in an environment without TensorFlow. PyTorch in one release, so that a build for
# processors alone can lie ready on a machine: the newest one otherwise comes with gigabytes for graphics cards.
BACKENDS = jax torch
REQUIREMENT_torch = torch==2.13.0
REQUIREMENT_jax = jax2onnx
TESTS_OF_BACKENDS = $(patsubst %,tests/unit/test_%.py,backends cam rows attribution attribution_places transformers grad_cam head graph \
  expansion network places preprocessor models efficientnet_lite method analysis fingerprint trust)

.PHONY: backends
backends: .venv/test $(BACKENDS:%=build/backends/%/ready) ## the tests of maps and models on JAX and PyTorch, and their numbers beside TensorFlow's (15 minutes)
	KERAS_BACKEND=tensorflow .venv/bin/python tests/project/backend_numbers.py build/backends/tensorflow.npz
	for each in $(BACKENDS); do python=build/backends/$$each/bin/python; \
	  KERAS_HOME=build/backends/home $$python tests/project/backend_numbers.py build/backends/$$each.npz build/backends/tensorflow.npz && \
	  KERAS_BACKEND=$$each $$python -m pytest -q $(TWO) -m "not (slow or sweep)" $(TESTS_OF_BACKENDS) || exit 1; \
	done

build/backends/%/ready: requirements.lock pyproject.toml
	mkdir -p build/backends
	"$(PYTHON)" -m venv --clear $(@D)
	sed -n '/^[a-z0-9].*==/s/ \\$$//p' requirements.lock > $(@D).txt
	$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --constraint $(@D).txt $(REQUIREMENT_$*) -e ".[$*,playground]" pytest pytest-xdist
	touch $@

# KerasHub comes with TensorFlow Text, which the lessons do not need: an environment of its own, too.
.PHONY: check-hub
check-hub: build/hub/ready ## the classifiers of KerasHub, each built without a download (12 minutes)
	build/hub/bin/python -m pytest $(TWO) tests/unit/test_keras_hub.py tests/unit/test_preprocessor.py

build/hub/ready: requirements.lock pyproject.toml
	"$(PYTHON)" -m venv --clear $(@D)
	sed -n '/^[a-z0-9].*==/s/ \\$$//p' requirements.lock > build/hub.txt
	$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --constraint build/hub.txt -e ".[tensorflow]" keras-hub pytest pytest-xdist
	touch $@

# The programs that read exports, in an environment each, since they ask for versions that exclude one another's.
EXPORTS = fiftyone label-studio-sdk renumics-spotlight embedding-atlas
ALSO_fiftyone = pycocotools
# What they ask for, a gigabyte, and do not need to open a file.
NOT_NEEDED = accelerate litellm sentence-transformers

.PHONY: check-exports
# They report nothing to their makers.
check-exports: export FIFTYONE_DO_NOT_TRACK = 1
check-exports: export SPOTLIGHT_OPT_OUT = 1
check-exports: $(EXPORTS:%=build/exports/%/ready) ## open exports in the programs that read them (3 minutes)
	for each in $(EXPORTS); do build/exports/$$each/bin/python -m pytest "tests/exports/test_$$(echo $$each | tr - _).py" || exit 1; done

build/exports/%/ready: pyproject.toml | build/uv/ready
	mkdir -p build/exports
	$(UV) venv --quiet --clear --python "$(PYTHON)" $(@D)
	printf '%s; python_version < "3"\n' $(NOT_NEEDED) > $(@D).txt
	$(UV) pip install --quiet --python $(@D) --override $(@D).txt $* $(ALSO_$*) -e . pytest
	touch $@

PYTHONS = 3.11 3.12 3.13

.PHONY: check-installed
check-installed: dist build/uv/ready ## the wheel of the last commit in an empty environment; two lessons there, without a network (7 minutes)
	"$(PYTHON)" tests/project/installed.py build/uv/bin/uv build/dist/*.whl

.PHONY: check-pythons
check-pythons: build/uv/ready ## the core alone, without extras, on the Pythons that this machine has (3 minutes each)
	"$(PYTHON)" tests/project/pythons.py build/uv/bin/uv $(PYTHONS)

build/uv/ready:
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check --quiet uv
	touch $@
