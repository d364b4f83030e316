# make notebooks   runs every lesson and writes its page into build/ (open build/index.html)
# make lab         opens the lessons in JupyterLab
# make atlas MODEL=model.keras IMAGES=folder   writes the error atlas of a model on these pictures and opens it
# make app ANALYSIS=folder                     serves the atlas of an analysis as an app, for several reviewers
# make test        runs the tests; make sweep: those that build every model of keras.applications; make bench: benchmarks
# make lock        writes requirements.lock anew from pyproject.toml
#
# The first of them makes .venv and installs the locked dependencies; later calls do not. Other images and another
# backbone: make notebooks DATASET=fruits-360 BACKBONE=ResNet50, or a folder and a weights file of your own:
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
ATLAS = build/atlas/$(basename $(notdir $(MODEL)))-$(notdir $(patsubst %/,%,$(IMAGES)))

.PHONY: notebooks lab atlas app test sweep bench lock clean

notebooks: .venv/installed
	.venv/bin/python notebooks/run.py --dataset "$(DATASET)" --backbone "$(BACKBONE)" --weights "$(WEIGHTS)" --boxes "$(BOXES)" $(LESSONS)

lab: .venv/installed
	.venv/bin/python -m jupyterlab notebooks

atlas: .venv/installed
	@test -n "$(MODEL)" -a -n "$(IMAGES)" || { echo 'make atlas MODEL=model.keras IMAGES=folder [OPTIONS="--method grad_cam"]'; exit 2; }
	.venv/bin/python -m camkit analyze "$(MODEL)" "$(IMAGES)" --out "$(ATLAS)/analysis" $(OPTIONS)
	.venv/bin/python -m camkit atlas "$(ATLAS)/analysis" --out "$(ATLAS)/page" --open

app: export ANALYSIS := $(abspath $(ANALYSIS))
app: export REFERENCE := $(abspath $(REFERENCE))
app: export VERDICTS := $(abspath $(VERDICTS))
app: .venv/installed
	.venv/bin/python -m voila notebooks/app/atlas.ipynb

# Two processes on two cores: a thread each, or they wait for one another.
test sweep: export OMP_NUM_THREADS = 1
test sweep: export OPENBLAS_NUM_THREADS = 1
test sweep: export TF_NUM_INTRAOP_THREADS = 1

test: .venv/installed
	.venv/bin/python -m pytest --numprocesses 2 --dist loadfile -m "not sweep"

sweep: .venv/installed
	.venv/bin/python -m pytest --numprocesses 2 -m sweep

bench: .venv/installed
	.venv/bin/python tests/bench/bench.py

.venv/installed: requirements.lock pyproject.toml
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	  echo "camkit needs Python 3.11 or newer, found: $$("$(PYTHON)" --version 2>/dev/null || echo none)."; \
	  echo "Install it, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv .venv
	.venv/bin/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

lock:
	"$(PYTHON)" -m venv build/uv
	build/uv/bin/python -m pip install --disable-pip-version-check --quiet uv
	build/uv/bin/python -m uv pip compile --quiet pyproject.toml --output-file requirements.lock --upgrade --all-extras \
	  --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

clean:
	rm -rf build
